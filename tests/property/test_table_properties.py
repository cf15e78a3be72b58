"""The table's functions against an oracle that counts whole tenths of a percent and nothing else."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lockstep.canonical import canonical
from lockstep.table import (
    SLOTS,
    Cell,
    Table,
    at,
    cells,
    is_withdrawn,
    release_in,
    releases,
    share,
    slot_share,
    tenths,
)

DIGESTS = ["sha256:" + letter * 64 for letter in "abcd"]
in_tenths = st.integers(0, 1000)
digests = st.sampled_from(DIGESTS)
slots = st.none() | digests
names = st.sampled_from(["digits", "faces", "scans", "a", "b-2"])


def weight(count: int) -> float:
    """A weight as people write it: 55 tenths are 5.5, 50 are 5."""
    return count // 10 if count % 10 == 0 else float(f"{count // 10}.{count % 10}")


@st.composite
def placements(draw: st.DrawFn) -> tuple[Cell, int]:
    """A cell and its green weight in tenths."""
    count = draw(in_tenths)
    cell = {"blue": draw(slots), "green": draw(slots), "green_weight": weight(count)}
    return cell, count


any_cell = placements().map(lambda pair: pair[0]) | digests.map(lambda digest: {"withdraw": digest})
tables = st.dictionaries(names, st.dictionaries(names, any_cell, max_size=3), max_size=3)


def oracle(cell: Cell, count: int) -> dict[str, int]:
    """Slot -> tenths of a percent."""
    if cell["blue"] is None and cell["green"] is None:
        return {"blue": 0, "green": 0}
    return {"blue": 1000 - count, "green": count}


@given(placements())
def test_slot_shares_are_exact_tenths_that_sum_to_100(pair: tuple[Cell, int]) -> None:
    cell, count = pair
    expected = oracle(cell, count)
    for slot in SLOTS:
        assert slot_share(cell, slot) == weight(expected[slot])
    total = sum(round(slot_share(cell, slot) * 10) for slot in SLOTS)
    assert total == (1000 if any(cell[slot] for slot in SLOTS) else 0)


@given(placements(), digests)
def test_a_releases_share_is_that_of_every_slot_it_is_in(pair: tuple[Cell, int], digest: str) -> None:
    cell, count = pair
    expected = sum(part for slot, part in oracle(cell, count).items() if cell[slot] == digest)
    assert share(cell, digest) == weight(expected)


@given(in_tenths, in_tenths)
def test_equal_weights_are_equal_bytes_however_they_were_reckoned(one: int, other: int) -> None:
    high, low = max(one, other), min(one, other)
    reckoned = tenths(weight(high) - weight(low))
    assert canonical(reckoned) == canonical(weight(high - low))
    whole = (high - low) % 10 == 0
    assert isinstance(reckoned, int) == whole


@given(in_tenths.map(weight))
def test_rounding_to_tenths_twice_is_rounding_once(value: float) -> None:
    assert tenths(value) == value == tenths(tenths(value))
    assert tenths(float(value)) == tenths(value)


@given(digests, digests)
def test_a_withdrawn_cell_serves_nothing(asked: str, other: str) -> None:
    cell = {"withdraw": asked}
    assert is_withdrawn(cell)
    for slot in SLOTS:
        assert release_in(cell, slot) is None
        assert slot_share(cell, slot) == 0
    assert share(cell, asked) == share(cell, other) == 0


@given(digests)
def test_no_cell_serves_nothing(digest: str) -> None:
    assert [release_in(None, slot) for slot in SLOTS] == [None, None]
    assert [slot_share(None, slot) for slot in SLOTS] == [0, 0]
    assert share(None, digest) == 0


@given(tables, st.randoms(use_true_random=False))
def test_cells_come_in_one_order_whatever_the_tables(table: Table, random: Any) -> None:
    shuffled: Table = {}
    for model in random.sample(list(table), len(table)):
        regions = list(table[model])
        shuffled[model] = {region: table[model][region] for region in random.sample(regions, len(regions))}
    assert list(cells(shuffled)) == list(cells(table))
    assert [(m, r) for m, r, _ in cells(table)] == sorted((m, r) for m in table for r in table[m])
    for model, region, cell in cells(table):
        assert at(table, model, region) == cell
    assert at(table, "digits", "nowhere") is None
    assert at(table, "nobody", "digits") is None


@given(tables)
def test_releases_are_exactly_the_digests_in_the_tables_bytes(table: Table) -> None:
    text = canonical(table).decode()
    assert releases(table) == [digest for digest in DIGESTS if digest in text]
