"""What each field of a record may hold. One table of shapes; a record is right in every field or not one."""

from __future__ import annotations

import re
from typing import Any, Literal, TypeAlias, get_args

from lockstep.audit.about import is_about
from lockstep.audit.bucket import from_text
from lockstep.errors import IntegrityError
from lockstep.table import SLOTS, is_digest

Kind: TypeAlias = Literal[
    "intent", "outcome", "denied", "rollback", "retry", "history", "void", "renewed", "pruned"
]
KINDS: tuple[str, ...] = get_args(Kind)
RESULTS = ("complete", "interrupted", "failed")
CHANGES = ("step", "stand", "withdraw", "first", "rollback")
VERSION = 2
"""What writers write. Version 1 had no field `log` and none of the kinds that need it; it reads for ever."""

OPTIONAL = (
    "git",
    "from",
    "to",
    "live",
    "decision",
    "history",
    "history_reason",
    "intent",
    "result",
    "standing",
    "marked",
    "former",
    "barred",
    "ready",
    "promotion",
    "cell_intent",
    "change",
    "reason",
    "digest",
    "target",
    "log",
)
LISTS = ("releases", "evidence")
FIELDS = frozenset({"v", "kind", "index", "origin", "time", "actor", *OPTIONAL, *LISTS})
KINDS_OF = {1: tuple(kind for kind in KINDS if kind not in ("renewed", "pruned")), VERSION: KINDS}
FIELDS_OF = {1: FIELDS - {"log"}, VERSION: FIELDS}
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_HEX = re.compile(r"[0-9a-f]{64}")


def malformed(why: str) -> IntegrityError:
    return IntegrityError(
        f"not a record: {why}",
        code="audit.malformed_record",
        remedy="run `./lockstep audit verify` to see which object it is; a record is never edited",
    )


def _need(condition: bool, why: str) -> None:
    if not condition:
        raise malformed(why)


def _is_index(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_cell(cell: object) -> bool:
    if not isinstance(cell, dict):
        return False
    if set(cell) == {"withdraw"}:
        return is_digest(cell["withdraw"])
    if set(cell) != {"blue", "green", "green_weight"}:
        return False
    weight = cell["green_weight"]
    number = isinstance(weight, int | float) and not isinstance(weight, bool) and 0 <= weight <= 100
    return number and all(cell[slot] is None or is_digest(cell[slot]) for slot in SLOTS)


def _per_cell(value: object, good: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(regions, dict) and all(good(item) for item in regions.values())
        for regions in value.values()
    )


def _is_promotion(value: object) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"since", "base"}
        and _is_index(value["since"])
        and (value["base"] is None or _is_cell(value["base"]))
    )


def _is_ready(value: object) -> bool:
    return isinstance(value, dict) and all(
        slot in SLOTS and (answer is None or isinstance(answer, bool)) for slot, answer in value.items()
    )


def _digests(value: object) -> bool:
    return isinstance(value, list) and all(is_digest(item) for item in value)


def _is_history(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, dict)
        and set(item) == {"name", "sha256"}
        and isinstance(item["name"], str)
        and isinstance(item["sha256"], str)
        and _HEX.fullmatch(item["sha256"]) is not None
        for item in value
    )


def _is_decision(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("allow"), bool)


def _text(value: object) -> bool:
    return isinstance(value, str)


_SHAPES: dict[str, Any] = {
    "git": lambda value: isinstance(value, dict) and set(value) == {"commit", "dirty"},
    **{name: (lambda value: _per_cell(value, _is_cell)) for name in ("from", "to", "live", "target")},
    **{name: (lambda value: _per_cell(value, is_digest)) for name in ("standing", "marked", "former")},
    "barred": _digests,
    "ready": lambda value: _per_cell(value, _is_ready),
    "promotion": lambda value: _per_cell(value, _is_promotion),
    "cell_intent": lambda value: _per_cell(value, _is_index),
    "decision": _is_decision,
    "history": _is_history,
    "history_reason": _text,
    "intent": _is_index,
    "result": lambda value: value in RESULTS,
    "change": lambda value: value in CHANGES,
    "reason": _text,
    "digest": is_digest,
}
_NEEDS = {
    "intent": ("from", "to", "decision", "marked", "change"),
    "outcome": ("intent", "result", "standing", "marked", "former", "barred", "promotion", "cell_intent"),
    "denied": ("decision",),
    "rollback": ("digest", "target", "barred"),
    "retry": ("digest", "barred", "reason"),
    "history": (),
    "void": ("reason",),
    "renewed": (),
    "pruned": ("reason",),
}


def check(record: object) -> None:
    """Raise IntegrityError `audit.malformed_record` unless this is a record in every field."""
    if not isinstance(record, dict):
        raise malformed("not an object")
    version = record.get("v")
    if not isinstance(version, int) or isinstance(version, bool) or version not in FIELDS_OF:
        raise malformed(f"version {version!r}")
    fields = FIELDS_OF[version]
    extra, absent = sorted(set(record) - fields), sorted(fields - set(record))
    _need(not extra and not absent, f"fields unknown: {extra}; missing: {absent}")
    _need(record["kind"] in KINDS_OF[version], f"kind {record['kind']!r}")
    _need(_is_index(record["index"]), "index")
    _need(isinstance(record["origin"], str) and record["origin"] != "", "origin")
    _need(isinstance(record["time"], str) and _TIME.fullmatch(record["time"]) is not None, "time")
    try:
        from_text(record["time"])
    except ValueError:
        raise malformed(f"time {record['time']}") from None
    actor = record["actor"]
    _need(isinstance(actor, dict) and set(actor) == {"claimed", "proven"}, "actor")
    _need(isinstance(actor["claimed"], str), "actor.claimed")
    proven = actor["proven"]
    _need(isinstance(proven, dict) and set(proven) == {"person", "keyid"}, "actor.proven")
    for name in LISTS:
        _need(_digests(record[name]), name)
    for name, good in _SHAPES.items():
        _need(record[name] is None or bool(good(record[name])), name)
    _need(version == 1 or is_about(record["log"], record["kind"], record["index"]), "log")
    for name in _NEEDS[record["kind"]]:
        _need(record[name] is not None, f"{record['kind']} without {name}")
