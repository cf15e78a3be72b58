"""The table: for every model and region, which release is in which slot and what share goes where.

A table is plain JSON, so that the gate, the policies, the records and the routes share one value:

    {"digits": {"local-a": {"blue": "sha256:..", "green": null, "green_weight": 0},
                "local-b": {"withdraw": "sha256:.."}}}

`green_weight` is the percent of a region's traffic that goes to green, 0 to 100 with at most one
decimal; blue has the rest. A withdrawn cell keeps its route, which answers 404.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

Slot: TypeAlias = Literal["blue", "green"]
SLOTS: tuple[Slot, Slot] = ("blue", "green")
Cell: TypeAlias = dict[str, Any]
Table: TypeAlias = dict[str, dict[str, Cell]]

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def is_digest(value: object) -> bool:
    return isinstance(value, str) and DIGEST.fullmatch(value) is not None


def short(digest: str | None) -> str:
    """A digest as people read it: `sha256:` and twelve hex digits; `-` for none."""
    return "-" if digest is None else digest[:19]


def cells(table: Table) -> Iterator[tuple[str, str, Cell]]:
    """Every (model, region, cell), in a fixed order."""
    for model in sorted(table):
        for region in sorted(table[model]):
            yield model, region, table[model][region]


def at(table: Table, model: str, region: str) -> Cell | None:
    return table.get(model, {}).get(region)


def is_withdrawn(cell: Cell) -> bool:
    return "withdraw" in cell


def release_in(cell: Cell | None, slot: Slot) -> str | None:
    """The digest in a slot; None for an empty slot, a withdrawn cell, or no cell."""
    return None if cell is None or is_withdrawn(cell) else cell[slot]


def slot_share(cell: Cell | None, slot: Slot) -> float:
    """Percent of the region's traffic that goes to the slot; 0 for withdrawn, missing, or an empty cell."""
    if cell is None or is_withdrawn(cell) or (cell["blue"] is None and cell["green"] is None):
        return 0
    green = cell["green_weight"]
    return green if slot == "green" else tenths(100 - green)


def share(cell: Cell | None, digest: str) -> float:
    """Percent of the region's traffic that goes to a release, whatever its slot."""
    return tenths(sum(slot_share(cell, slot) for slot in SLOTS if release_in(cell, slot) == digest))


def tenths(value: float) -> float:
    """Round to one decimal, as an int where it is one, so that equal weights are equal bytes."""
    rounded = round(value, 1)
    return int(rounded) if rounded == int(rounded) else rounded


def releases(table: Table) -> list[str]:
    """Every digest that the table names, withdrawn ones included; sorted."""
    found = set()
    for _, _, cell in cells(table):
        found |= {cell["withdraw"]} if is_withdrawn(cell) else {cell[slot] for slot in SLOTS}
    return sorted(found - {None})
