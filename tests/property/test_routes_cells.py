"""Every cell survives the way: cell -> HTTPRoute -> Envoy's configuration -> cell."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lockstep.canonical import canonical, digest
from lockstep.local.httproute import FULL, backend_name, http_route, route_cell, slot_weights
from lockstep.local.live import cells_of
from lockstep.local.translate import translate
from lockstep.table import SLOTS, slot_share, tenths

digests = st.binary(min_size=1, max_size=4).map(digest)
names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
weights = st.integers(0, FULL).map(lambda n: tenths(n / 10))


@st.composite
def cells(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["both", "blue", "green", "withdraw", "empty"]))
    if kind == "withdraw":
        return {"withdraw": draw(digests)}
    held = {slot: draw(digests) if kind in (slot, "both") else None for slot in SLOTS}
    weight = {"both": draw(weights), "green": 100}.get(kind, 0)
    return {**held, "green_weight": weight}


def backends(model: str, region: str) -> dict[str, tuple[str, int]]:
    return {backend_name(model, region, slot): ("127.0.0.1", 1) for slot in SLOTS}


@given(cells())
def test_weights_sum_to_a_whole_and_are_the_tables_shares(cell: dict[str, Any]) -> None:
    found = slot_weights(cell)
    assert sum(found.values()) in ((FULL,) if found else (0,))
    for slot, weight in found.items():
        assert weight == round(slot_share(cell, slot) * 10)


@given(names, names, cells(), st.integers(0, 2**53 - 1))
def test_a_cell_comes_back_from_what_envoy_is_told(
    model: str, region: str, cell: dict[str, Any], intent: int
) -> None:
    route = http_route(model, region, cell, intent=intent)
    assert route_cell(route) == cell
    config = translate([route], backends(model, region))
    found = cells_of(config, {})[0][model][region]
    assert (found.cell, found.declared, found.intent) == (cell, cell, intent)
    assert canonical(found.cell) == canonical(cell)  # 5 and 5.0 would be two tables to the log


@given(st.dictionaries(names, cells(), max_size=4), names)
def test_models_share_a_gateway_without_meeting(models: dict[str, dict[str, Any]], region: str) -> None:
    routes = [http_route(model, region, cell, intent=1) for model, cell in models.items()]
    known = {name: address for model in models for name, address in backends(model, region).items()}
    found, others = cells_of(translate(routes, known), {})
    assert {model: row[region].cell for model, row in found.items()} == models
    assert others == ()
