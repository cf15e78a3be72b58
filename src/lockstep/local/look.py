"""What a stack on this machine shows when it is looked at: routes in force, and services that answer.

Asked from Envoy and from the services themselves, never from the files that they were given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep.errors import Unavailable
from lockstep.jsontext import from_json
from lockstep.local.gateway import read_backends
from lockstep.local.live import Live, read_live
from lockstep.local.probe import get
from lockstep.local.vouched import given_places
from lockstep.table import SLOTS, Cell, Slot

if TYPE_CHECKING:
    from lockstep.gate.judge import Place

VACANT: Cell = {"blue": None, "green": None, "green_weight": 0}


def live(gateways: Path, ports: Mapping[str, int], *, strict: bool = True) -> dict[Place, Cell | None]:
    """Each place's cell as its gateway has it in force; None for places of a silent gateway.

    A gateway that answers without a route for a place it was given has that place vacant. One with
    routes that are not ours raises Unavailable `route.gateway_odd`; with `strict` off, its places are
    left out instead, so that an update puts its routes back.
    """
    cells: dict[Place, Cell | None] = {}
    for region, admin in _gateways(ports):
        given = given_places(gateways / region)
        try:
            live = _own_routes(region, admin)
        except Unavailable as error:
            if error.code != "route.gateway_silent":
                if strict:
                    raise
                continue
            cells |= {(model, region): None for model, _ in given}
            continue
        cells |= {(model, region): dict(VACANT) for model, _ in given}
        cells |= {(model, region): places[region] for model, places in live.table().items()}
    return cells


def odd(ports: Mapping[str, int]) -> list[str]:
    """The regions whose gateways answer with routes that are not ours."""
    found = []
    for region, admin in _gateways(ports):
        try:
            _own_routes(region, admin)
        except Unavailable as error:
            if error.code == "route.gateway_odd":
                found.append(region)
    return found


def _gateways(ports: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Region and admin port of each gateway."""
    for name, admin in ports.items():
        if name.startswith("gateway-") and name.endswith(".admin"):
            yield name.removeprefix("gateway-").removesuffix(".admin"), admin


def _own_routes(region: str, admin: int) -> Live:
    live = read_live(admin)
    if live.others:
        raise _odd(region, f"it has routes that are not ours: {', '.join(live.others)}")
    if any(places.keys() != {region} for places in live.cells.values()):
        raise _odd(region, "it has routes of another region")
    return live


def serving(gateways: Path) -> dict[Place, dict[str, str | None]]:
    """Each place's slots with the release that their service says it serves; None if it does not."""
    asked: list[tuple[Place, Slot, int]] = []
    for folder in sorted(gateways.glob("*")):
        for name, (_, port) in read_backends(folder).items():
            for slot in SLOTS:
                suffix = f"-{folder.name}-{slot}"
                if name.endswith(suffix):
                    asked.append(((name.removesuffix(suffix), folder.name), slot, port))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda item: release_at(item[2]), asked))
    found: dict[Place, dict[str, str | None]] = {}
    for (at, slot, _), release in zip(asked, answers, strict=True):
        found.setdefault(at, dict.fromkeys(SLOTS))[slot] = release
    return found


def release_at(port: int) -> str | None:
    """The release that the service on this port says it serves and is ready with; None otherwise."""
    answer = get(port, "/release", timeout_s=1.0)
    if answer is None or answer[0] != 200:
        return None
    try:
        said = from_json(answer[1])
        return str(said["release"]) if said["ready"] is True else None
    except (ValueError, KeyError, TypeError):
        return None


def _odd(region: str, why: str) -> Unavailable:
    return Unavailable(
        f"the gateway of {region} is not as Lockstep left it: {why}",
        code="route.gateway_odd",
        remedy="run `./lockstep up` with the recorded table, which writes its routes again",
    )
