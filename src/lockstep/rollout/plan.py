"""Which tables a wish goes through. Pure: no I/O, no thresholds; policy judges each table later.

A promotion is two updates for a region: the candidate is put into the free slot at share 0, then its
share is moved. A rollback is one update for all regions at once and moves weights only.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lockstep.errors import UsageError
from lockstep.table import (
    SLOTS,
    Cell,
    Slot,
    Table,
    at,
    cells,
    is_withdrawn,
    release_in,
    share,
    short,
    slot_share,
    tenths,
)

Marks = Mapping[str, Mapping[str, str]]


def other(slot: Slot) -> Slot:
    return "green" if slot == "blue" else "blue"


def slot_of(cell: Cell | None, release: str) -> Slot | None:
    return next((slot for slot in SLOTS if release_in(cell, slot) == release), None)


def require_cell(table: Table, model: str, region: str) -> Cell:
    """The cell, declared and not withdrawn. Raises UsageError that names what is there."""
    if model not in table:
        raise UsageError(
            f"no model {model!r} is declared",
            code="plan.no_model",
            remedy=f"declared models: {', '.join(sorted(table)) or 'none'}",
        )
    cell = at(table, model, region)
    if cell is None or is_withdrawn(cell):
        raise UsageError(
            f"{model} is not served in {region!r}",
            code="plan.no_region",
            remedy=f"regions of {model}: {', '.join(sorted(table[model])) or 'none'}",
        )
    return cell


def with_cell(table: Table, model: str, region: str, cell: Cell) -> Table:
    result = copy.deepcopy(table)
    result.setdefault(model, {})[region] = cell
    return result


def placed(table: Table, model: str, region: str, release: str, standing: str | None) -> Table:
    """The table with `release` in the slot of the region that does not hold the standing release, at 0.

    Unchanged if it is in a slot already.
    """
    cell = require_cell(table, model, region)
    if slot_of(cell, release) is not None:
        return table
    stands_in = slot_of(cell, standing) if standing is not None else None
    fullest: Slot = max(SLOTS, key=lambda slot: (release_in(cell, slot) is not None, slot == "blue"))
    keeps: Slot = stands_in or fullest
    free = other(keeps)
    if slot_share(cell, free) > 0:
        raise UsageError(
            f"{model} in {region}: slot {free} holds {short(release_in(cell, free))}, which has traffic",
            code="plan.slot_taken",
            remedy="finish that promotion or roll it back first",
        )
    changed = {**cell, free: release, "green_weight": 0 if keeps == "blue" else 100}
    return with_cell(table, model, region, changed)


def moved(table: Table, model: str, region: str, release: str, percent: float) -> Table:
    """The table with exactly `percent` of the region's traffic on `release`, which is in a slot."""
    cell = require_cell(table, model, region)
    slot = slot_of(cell, release)
    if slot is None:
        raise UsageError(
            f"{short(release)} is in no slot of {model} in {region}",
            code="plan.not_placed",
            remedy=f"place it with `./lockstep promote {model} {short(release)} --share 5`",
        )
    weight = tenths(percent if slot == "green" else 100 - percent)
    return with_cell(table, model, region, {**cell, "green_weight": weight})


@dataclass(frozen=True)
class Rollback:
    """Away from `release`, to `target`. regions: where its share falls to 0."""

    release: str
    target: Table
    regions: tuple[str, ...]


def rollback(table: Table, model: str, standing: Marks, former: Marks) -> Rollback:
    """Where to go back to: the standing release, or, where the release to leave stands, the former one.

    The release to leave is the candidate with traffic, else the standing release that has a former
    one beside it. Raises UsageError `plan.nothing_to_roll_back`, `plan.no_way_back`.
    """
    if model not in table:
        require_cell(table, model, "")
    stands, before = standing.get(model, {}), former.get(model, {})
    leaving = _leaving(table, model, stands, before)
    target = table
    regions = []
    for region in sorted(table[model]):
        cell = table[model][region]
        if is_withdrawn(cell) or share(cell, leaving) == 0:
            continue
        back = stands.get(region) if stands.get(region) != leaving else before.get(region)
        if back is None or slot_of(cell, back) is None:
            raise UsageError(
                f"{model} in {region}: the release before {short(leaving)} is in no slot any more",
                code="plan.no_way_back",
                remedy=f"promote the release you want: `./lockstep promote {model} <release> --share 5`",
            )
        target = moved(target, model, region, back, 100)
        regions.append(region)
    return Rollback(leaving, target, tuple(regions))


def _leaving(table: Table, model: str, stands: Mapping[str, str], former: Mapping[str, str]) -> str:
    for region, cell in sorted(table[model].items()):
        for slot in SLOTS:
            release = release_in(cell, slot)
            if release is not None and release != stands.get(region) and share(cell, release) > 0:
                return release
    for region in sorted(table[model]):
        if region in former and region in stands:
            return stands[region]
    raise UsageError(
        f"{model} has no candidate with traffic and no former release to go back to",
        code="plan.nothing_to_roll_back",
        remedy="see `./lockstep status`",
    )


def withdrawn(table: Table, model: str, regions: Sequence[str], standing: Marks) -> Table:
    """The table with the model asked out of these regions, by the name of what stands there.

    A region that was asked out before stays so: an interrupted withdrawal goes on where it was.
    """
    result = table
    if not regions:
        require_cell(table, model, "")
    for region in regions:
        if is_withdrawn(at(table, model, region) or {}):
            continue
        require_cell(table, model, region)
        name = standing.get(model, {}).get(region)
        if name is None:
            raise UsageError(
                f"no release of {model} stands in {region}; there is nothing to withdraw",
                code="plan.nothing_stands",
                remedy="see `./lockstep status`",
            )
        result = with_cell(result, model, region, {"withdraw": name})
    return result


def without(table: Table, model: str, regions: Sequence[str]) -> Table:
    """The table without these cells; a model without cells is gone."""
    result: Table = {}
    for each, region, cell in cells(table):
        if each != model or region not in regions:
            result.setdefault(each, {})[region] = cell
    return result
