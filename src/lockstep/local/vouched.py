"""What a gateway was given, read with suspicion: its files may have been edited by anybody.

Places, addresses and routes are taken from them only as far as something else bears them out: the ports
that were given out, the routes in force, the record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lockstep.canonical import parse
from lockstep.errors import IntegrityError, Unavailable, UsageError
from lockstep.local import envoy, live
from lockstep.local.gateway import Backends
from lockstep.local.httproute import http_route, intent_of, route_cell, route_name
from lockstep.table import SLOTS, Cell

Json = dict[str, Any]


def given_places(folder: Path) -> list[tuple[str, str]]:
    """Model and region of each route that a gateway was given; a file that is none of ours gives none."""
    found = []
    for route in _readable_routes(folder):
        place = _place_of(route)
        if place is not None:
            found.append(place)
    return found


def known_backends(folder: Path, ports: Mapping[str, int]) -> Backends:
    """The gateway's services, each at its own port, whatever the file says of their addresses.

    A file that cannot be read, or that lacks a service, is made good from the ports that were given out.
    """
    slots = tuple(f"-{folder.name}-{slot}" for slot in SLOTS)
    return {name: (envoy.LOOPBACK, port) for name, port in ports.items() if name.endswith(slots)}


def vouched_routes(
    folder: Path, admin_port: int, vouched: Callable[[tuple[str, str], Cell], bool]
) -> dict[str, Json]:
    """The routes that a gateway may start or go on with: those in force, else those in its files, and of
    both only what the record explains. An edited file gets no traffic by our hand.

    Each is built again from its cell, so that nothing else in a file counts.
    """
    try:
        in_force = list(live.read_live(admin_port).as_routes().values())
    except (Unavailable, UsageError):  # it is silent, odd, or has weights that no table holds
        in_force = []
    chosen: dict[str, Json] = {}
    for route in [*in_force, *_readable_routes(folder)]:
        place = _place_of(route)
        if place is None or route_name(*place) in chosen:
            continue
        cell = route_cell(route)
        if vouched(place, cell):
            chosen[route_name(*place)] = http_route(*place, cell, intent=intent_of(route))
    return chosen


def _readable_routes(folder: Path) -> list[Json]:
    found = []
    for path in sorted((folder / "routes").glob("*.json")):
        try:
            found.append(parse(path.read_bytes()))
        except (OSError, IntegrityError):
            continue
    return found


def _place_of(route: Json) -> tuple[str, str] | None:
    try:
        labels = route["metadata"]["labels"]
        place = (str(labels["lockstep.dev/model"]), str(labels["lockstep.dev/region"]))
        http_route(*place, route_cell(route), intent=intent_of(route))
    except (KeyError, TypeError, AttributeError, ValueError, UsageError):
        return None
    return place
