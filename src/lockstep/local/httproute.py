"""A cell of the table as a Gateway API v1 HTTPRoute, and back. Pure: both targets build their route here.

A route is the cell's weights, in tenths of a percent, on the backends `<model>-<region>-<slot>`. Its
annotations say what the weights alone cannot: which release is in each slot, and the index of the
newest intent record that changed the cell. Every answer carries that index in `x-lockstep-intent`, so
that a response can be traced to the record that let its release serve.

A slot that holds no release gets no backendRef. A cell that serves nobody (withdrawn, or both slots
empty) is a rule without backendRefs, which the local gateway answers 404 and Envoy Gateway 500
(docs/adr/0022).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lockstep.errors import UsageError
from lockstep.table import SLOTS, Cell, Slot, is_digest, is_withdrawn, release_in, tenths

API_VERSION = "gateway.networking.k8s.io/v1"
ANNOTATION = "lockstep.dev/"
INTENT_HEADER = "x-lockstep-intent"
FULL = 1000
"""A whole, in tenths of a percent: the sum of a route's weights."""
SERVICE_PORT = 80
"""Port of a slot's Service on Kubernetes; locally the port comes from the gateway's backends."""
DEFAULT_TIMEOUT_S = 30.0

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_KEYS = {"blue", "green", "green_weight"}


def route_name(model: str, region: str) -> str:
    return f"{model}-{region}"


def backend_name(model: str, region: str, slot: Slot) -> str:
    """The name of the service in a slot, as the route and the gateway's clusters know it."""
    return f"{model}-{region}-{slot}"


def path_prefix(model: str) -> str:
    """Of a model's own paths. Without a slash at its end: Envoy Gateway replaces one that has it only where
    the path goes on behind it."""
    return f"/v1/models/{model}"


def weight_tenths(green_weight: object) -> int:
    """green_weight in percent (0..100, at most one decimal) as an integer 0..1000.

    Raises UsageError `route.weight` for anything else, booleans and NaN included.
    """
    if isinstance(green_weight, int | float) and not isinstance(green_weight, bool):
        scaled = float(green_weight) * 10
        if 0 <= scaled <= FULL and abs(scaled - round(scaled)) < 1e-6:
            return round(scaled)
    raise UsageError(
        f"weight {green_weight!r} is not a percentage from 0 to 100 with at most one decimal",
        code="route.weight",
        remedy="set green_weight to a number such as 0, 5 or 12.5",
    )


def slot_weights(cell: Cell) -> dict[Slot, int]:
    """Tenths of a percent for each slot that holds a release; empty for a cell that serves nobody.

    Raises UsageError `route.cell` for what is no cell, `route.weight`, and `route.empty_slot` where a
    slot without a release has a share.
    """
    _check_cell(cell)
    if is_withdrawn(cell) or all(cell[slot] is None for slot in SLOTS):
        return {}
    green = weight_tenths(cell["green_weight"])
    weights: dict[Slot, int] = {"blue": FULL - green, "green": green}
    for slot, weight in weights.items():
        if weight and cell[slot] is None:
            raise UsageError(
                f"slot {slot} holds no release and cannot have {tenths(weight / 10)} % of the traffic",
                code="route.empty_slot",
                remedy=f"put a release into {slot}, or give its share to the other slot",
            )
    return {slot: weight for slot, weight in weights.items() if cell[slot] is not None}


def http_route(
    model: str,
    region: str,
    cell: Cell,
    *,
    intent: int,
    record: str = "",
    mirror: Slot | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    gateway: str = "lockstep",
) -> dict[str, Any]:
    """The HTTPRoute of one cell.

    intent: index of the newest intent record that changed the cell; record: its digest, on a cluster, where
    somebody may read the object who has only the log to hold it against; mirror: a slot that gets a copy of
    every request and whose answers nobody sees (shadow); timeout_s: seconds for a whole request;
    gateway: name of the Gateway that the route belongs to. Raises UsageError `route.*`.
    """
    for word in (model, region):
        _check_name(word)
    if not isinstance(intent, int) or isinstance(intent, bool) or intent < 0:
        raise _bad_cell(f"intent {intent!r} is not the index of a record")
    weights = slot_weights(cell)
    if mirror is not None and release_in(cell, mirror) is None:
        raise _bad_cell(f"slot {mirror} holds no release to mirror requests to")
    return {
        "apiVersion": API_VERSION,
        "kind": "HTTPRoute",
        "metadata": {
            "name": route_name(model, region),
            "labels": {ANNOTATION + "model": model, ANNOTATION + "region": region},
            "annotations": _annotations(cell, intent, record, weights),
        },
        "spec": {
            "parentRefs": [{"name": gateway}],
            "rules": [_rule(model, region, weights, intent, mirror, timeout_s)],
        },
    }


def _annotations(cell: Cell, intent: int, record: str, weights: dict[Slot, int]) -> dict[str, str]:
    words: dict[str, str] = {slot: release_in(cell, slot) or "" for slot in SLOTS}
    if record:
        words["record"] = record
    words["withdraw"] = str(cell["withdraw"]) if is_withdrawn(cell) else ""
    words["intent"] = str(intent)
    words["weight"] = str(weights.get("green", 0))
    return {ANNOTATION + key: value for key, value in words.items()}


def _rule(
    model: str, region: str, weights: dict[Slot, int], intent: int, mirror: Slot | None, timeout_s: float
) -> dict[str, Any]:
    stamp = {
        "type": "ResponseHeaderModifier",
        "responseHeaderModifier": {"set": [{"name": INTENT_HEADER, "value": str(intent)}]},
    }
    rule: dict[str, Any] = {
        "matches": [{"path": {"type": "PathPrefix", "value": path_prefix(model)}}],
        "filters": [stamp],
    }
    if not weights:
        return rule
    rewrite = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
    rule["filters"].append({"type": "URLRewrite", "urlRewrite": rewrite})
    if mirror is not None:
        copy = {"backendRef": {"name": backend_name(model, region, mirror), "port": SERVICE_PORT}}
        rule["filters"].append({"type": "RequestMirror", "requestMirror": copy})
    rule["backendRefs"] = [
        {"name": backend_name(model, region, slot), "port": SERVICE_PORT, "weight": weight}
        for slot, weight in weights.items()
    ]
    rule["timeouts"] = {"request": _duration(round(timeout_s * 1000))}
    return rule


def _duration(milliseconds: int) -> str:
    """A Gateway API duration (GEP-2257): no number in it has more than five digits."""
    if milliseconds < 100_000:
        return f"{milliseconds}ms"
    seconds, rest = divmod(milliseconds, 1000)
    parts = {"h": seconds // 3600, "s": seconds % 3600, "ms": rest}
    return "".join(f"{number}{unit}" for unit, number in parts.items() if number)


def route_cell(route: dict[str, Any]) -> Cell:
    """The cell that an HTTPRoute of ours was made from. Raises UsageError `route.cell` for a foreign one."""
    notes = route.get("metadata", {}).get("annotations", {})
    try:
        said = {key: notes[ANNOTATION + key] for key in ("blue", "green", "withdraw", "weight")}
        return cell_of(said["blue"], said["green"], said["withdraw"], int(said["weight"]))
    except (KeyError, ValueError) as error:
        raise _bad_cell(f"the route's annotations do not make a cell: {error}") from None


def intent_of(route: dict[str, Any]) -> int:
    """The index that an HTTPRoute of ours was written with. Raises KeyError, ValueError for a foreign one."""
    return int(route["metadata"]["annotations"][ANNOTATION + "intent"])


def cell_of(blue: str, green: str, withdraw: str, green_tenths: int) -> Cell:
    """A cell from annotation words, where "" means none; weight in tenths of a percent."""
    if withdraw:
        return {"withdraw": withdraw}
    return {"blue": blue or None, "green": green or None, "green_weight": tenths(green_tenths / 10)}


def cell_in_force(declared: Cell, weights: Mapping[Slot, int]) -> Cell:
    """The declared cell with the weight that is in force; one that serves nobody has no releases."""
    total = sum(weights.values())
    if not total:
        return declared if is_withdrawn(declared) else {"blue": None, "green": None, "green_weight": 0}
    percent = weights.get("green", 0) * 100 / total
    rounded = tenths(percent)
    # Not rounded away: a weight that no table can hold must be seen to differ.
    green = rounded if abs(percent - rounded) < 1e-9 else percent
    return {**{slot: release_in(declared, slot) for slot in SLOTS}, "green_weight": green}


def _check_cell(cell: Cell) -> None:
    if set(cell) == {"withdraw"} and is_digest(cell["withdraw"]):
        return
    if set(cell) != _KEYS or any(cell[slot] is not None and not is_digest(cell[slot]) for slot in SLOTS):
        raise _bad_cell(f"{cell!r} is not a cell of the table")


def _check_name(word: str) -> None:
    if _NAME.fullmatch(word) is None or len(word) > 40:
        raise UsageError(
            f"{word!r} cannot name a model or region",
            code="route.name",
            remedy="use at most 40 lower-case letters, digits and hyphens, with no hyphen at either end",
        )


def _bad_cell(message: str) -> UsageError:
    return UsageError(message, code="route.cell", remedy="mend the cell in the stack's config")
