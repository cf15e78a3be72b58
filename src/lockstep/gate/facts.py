"""Facts -> the one question that is put to OPA. Nothing is judged here, and nothing is kept on disk.

The question is policies/schema/input.json; each field is described there. What is not known is null with a
reason under `reasons`, by JSON pointer, and a null denies where a rule needs it. Null is also the plain word
for "none" (no cell, no answer from a gateway, nothing standing): the schema says for each field which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from lockstep.canonical import parse
from lockstep.errors import IntegrityError
from lockstep.gate.release_facts import release_facts
from lockstep.gate.schema import compiled
from lockstep.table import SLOTS, Cell, Table, at, cells, release_in, slot_share

if TYPE_CHECKING:
    from lockstep.evidence.keys import Trust
    from lockstep.release.store import Store

Place: TypeAlias = tuple[str, str]
VERSION = 1
_SCHEMA = Path(__file__).parents[3] / "policies" / "schema" / "input.json"


class Fields(Protocol):
    """A record of the log, as far as it is read here: `from`, `to` and `time`."""

    def __getitem__(self, name: str, /) -> Any: ...


class LogState(Protocol):
    """What the log says (`lockstep.audit.state.State`). Maps are model -> region -> value."""

    @property
    def size(self) -> int: ...
    @property
    def table(self) -> Table: ...
    @property
    def standing(self) -> Mapping[str, Mapping[str, str]]: ...
    @property
    def former(self) -> Mapping[str, Mapping[str, str]]: ...
    @property
    def barred(self) -> Sequence[str]: ...
    @property
    def ready(self) -> Mapping[str, Mapping[str, Mapping[str, bool | None]]]: ...
    @property
    def promotion(self) -> Mapping[str, Mapping[str, Mapping[str, Any]]]: ...
    @property
    def open_intent(self) -> Fields | None: ...
    @property
    def newest_outcome(self) -> Fields | None: ...


def build_input(
    *,
    kind: str,
    stack: str,
    environment: str,
    now: str,
    log_state: LogState | None,
    origin: Table,
    declared: Table,
    live: Mapping[Place, Cell | None],
    serving: Mapping[Place, Mapping[str, str | None]],
    store: Store,
    trust: Trust,
    rollback: Mapping[str, Any] | None,
    marks: Mapping[str, Mapping[str, str]],
    revision: str,
    full_since: Mapping[Place, str] | None = None,
) -> dict[str, Any]:
    """The question, complete and checked against the schema.

    now: RFC 3339, UTC, microseconds. log_state: None where there is no log yet. origin: the table that the
    change starts from (`judge.plan`). live: a place without an answer maps to None or is left out. rollback:
    {"digest", "target"} of the record that this change answers. marks: model -> region -> digest.
    full_since: when the outcome was written that gave a candidate all of the traffic; without it the newest
    outcome's time is used, which is never earlier, so a probation can only get longer.

    Raises IntegrityError `gate.facts` where the facts do not fit the schema.
    """
    reasons: dict[str, str] = {}
    seen = places(log_state, origin, declared, live)
    question = {
        "version": VERSION,
        "kind": kind,
        "stack": stack,
        "environment": environment,
        "now": now,
        "log": {
            "state": "absent" if log_state is None else "present",
            "size": 0 if log_state is None else log_state.size,
        },
        "bundle": {"revision": revision},
        "cells": [
            _place(place, log_state, origin, declared, live, serving, full_since or {}) for place in seen
        ],
        "marks": [
            {"model": model, "region": region, "digest": digest} for model, region, digest in _marks(marks)
        ],
        "releases": {
            digest: release_facts(digest, store, trust, reasons)
            for digest in _judged(seen, origin, declared, marks)
        },
        "barred": [] if log_state is None else sorted(log_state.barred),
        "rollback": None if rollback is None else {name: rollback[name] for name in ("digest", "target")},
        "reasons": reasons,
    }
    return checked(question)


def places(
    log_state: LogState | None, origin: Table, declared: Table, live: Mapping[Place, Cell | None]
) -> list[Place]:
    """Every model and region that record, intent, gateway or declaration knows of; in order."""
    tables = [origin, declared]
    if log_state is not None:
        tables.append(log_state.table)
        if log_state.open_intent is not None:
            tables += [log_state.open_intent["from"] or {}, log_state.open_intent["to"] or {}]
    named = {(model, region) for table in tables for model, region, _ in cells(table)}
    return sorted(named | {place for place, cell in live.items() if cell is not None})


def checked(question: dict[str, Any]) -> dict[str, Any]:
    """The question, if it fits policies/schema/input.json. Raises IntegrityError `gate.facts`."""
    found = _problems_by(_SCHEMA.read_bytes())(question)
    if found:
        raise IntegrityError(
            f"the facts for the gate do not fit their schema: {'; '.join(found[:5])}",
            code="gate.facts",
            remedy="nothing was changed; ./lockstep status shows what is live and what the record says",
        )
    return question


@lru_cache(maxsize=1)
def _problems_by(schema: bytes) -> Callable[[Any], list[str]]:
    return compiled(parse(schema))


def _place(
    place: Place,
    log_state: LogState | None,
    origin: Table,
    declared: Table,
    live: Mapping[Place, Cell | None],
    serving: Mapping[Place, Mapping[str, str | None]],
    full_since: Mapping[Place, str],
) -> dict[str, Any]:
    model, region = place
    recorded = None if log_state is None else at(log_state.table, model, region)
    standing = None if log_state is None else _of(log_state.standing, place)
    served = serving.get(place, {})
    ready = {} if log_state is None else _of(log_state.ready, place) or {}
    promotion = None if log_state is None else _of(log_state.promotion, place)
    return {
        "model": model,
        "region": region,
        "first": standing is None,
        "from": at(origin, model, region),
        "to": at(declared, model, region),
        "recorded": recorded,
        "intent": _intent(place, log_state),
        "live": live.get(place),
        "serving": {slot: served.get(slot) for slot in SLOTS},
        "ready": {slot: ready.get(slot) for slot in SLOTS},
        "standing": standing,
        "former": None if log_state is None else _of(log_state.former, place),
        "base": None if promotion is None else promotion["base"],
        "at_full_since": _at_full_since(place, log_state, recorded, standing, full_since),
    }


def _intent(place: Place, log_state: LogState | None) -> dict[str, Any] | None:
    if log_state is None or log_state.open_intent is None:
        return None
    return {side: at(log_state.open_intent[side] or {}, *place) for side in ("from", "to")}


def _at_full_since(
    place: Place,
    log_state: LogState | None,
    recorded: Cell | None,
    standing: str | None,
    full_since: Mapping[Place, str],
) -> str | None:
    candidate = any(
        slot_share(recorded, slot) == 100 and release_in(recorded, slot) not in (None, standing)
        for slot in SLOTS
    )
    if not candidate or log_state is None or log_state.newest_outcome is None:
        return None
    return full_since.get(place) or str(log_state.newest_outcome["time"])


def _marks(marks: Mapping[str, Mapping[str, str]]) -> list[tuple[str, str, str]]:
    return sorted((model, region, marks[model][region]) for model in marks for region in marks[model])


def _of(values: Mapping[str, Mapping[str, Any]], place: Place) -> Any:
    return values.get(place[0], {}).get(place[1])


def _judged(
    seen: Sequence[Place], origin: Table, declared: Table, marks: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """The releases in cells that change or are to be marked, before and after."""
    marked = {(model, region) for model, region, _ in _marks(marks)}
    pairs = [
        (at(origin, *place), at(declared, *place))
        for place in seen
        if place in marked or at(origin, *place) != at(declared, *place)
    ]
    found = {release_in(cell, slot) for pair in pairs for cell in pair for slot in SLOTS}
    return sorted(digest for digest in found if digest is not None)
