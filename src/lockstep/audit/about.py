"""What a record says about the log itself: its field `log`, null or an object with one or two of these.

batch     {"first", "count"}            any kind: written with others under one head (group commit)
void      {"index", "digest"}           void: the object at this index does not verify and does not count
renewed   {"size", "until", "lapsed"}   renewed: the locks of everything that a log of this size has last
                                        until then; so many had ended before
pruned    {"size", "root"}              pruned: the records below this size were deleted; the root of their
                                        tree. The state goes on from the outcome at this index
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from lockstep.audit.bucket import from_text
from lockstep.table import is_digest

MAX_BATCH = 4096
"""Records under one head. A batch is only as long as what a dead writer may leave to be completed."""
OWN_KINDS = ("void", "renewed", "pruned")
"""Kinds whose record says the part of the same name."""
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Batch:
    """The records first..first+count-1 were meant to get one head."""

    first: int
    count: int

    def covers(self, index: int) -> bool:
        return self.first <= index < self.first + self.count


@dataclass(frozen=True)
class Void:
    """digest: `sha256:...` of the bytes of the object that lies at `index`."""

    index: int
    digest: str


@dataclass(frozen=True)
class Renewed:
    size: int
    until: datetime
    lapsed: int


@dataclass(frozen=True)
class Pruned:
    """root: in hex, over the first `size` records."""

    size: int
    root: str


class HasFields(Protocol):
    """A record: `fields` is its JSON object."""

    @property
    def fields(self) -> Mapping[str, Any]: ...


def batch_of(record: HasFields) -> Batch | None:
    part = _part(record, "batch")
    return None if part is None else Batch(part["first"], part["count"])


def void_of(record: HasFields) -> Void | None:
    part = _part(record, "void")
    return None if part is None else Void(part["index"], part["digest"])


def renewed_of(record: HasFields) -> Renewed | None:
    part = _part(record, "renewed")
    return None if part is None else Renewed(part["size"], from_text(part["until"]), part["lapsed"])


def pruned_of(record: HasFields) -> Pruned | None:
    part = _part(record, "pruned")
    return None if part is None else Pruned(part["size"], part["root"])


def _part(record: HasFields, name: str) -> Mapping[str, Any] | None:
    about: Mapping[str, Any] = record.fields.get("log") or {}
    part: Mapping[str, Any] | None = about.get(name)
    return part


def is_about(value: object, kind: str, index: int) -> bool:
    """Whether this is the field `log` that a record of this kind may have at this index."""
    if value is None:
        return kind not in OWN_KINDS
    own = {kind} & set(OWN_KINDS)
    if not isinstance(value, dict) or not value or not own <= set(value) <= own | {"batch"}:
        return False
    return all(_SHAPES[name](part) for name, part in value.items()) and _in_place(value, index)


def _in_place(value: Mapping[str, Any], index: int) -> bool:
    return "batch" not in value or Batch(value["batch"]["first"], value["batch"]["count"]).covers(index)


def _has(value: object, *names: str) -> bool:
    return isinstance(value, dict) and set(value) == set(names)


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_time(value: object) -> bool:
    try:
        return isinstance(value, str) and value.endswith("Z") and from_text(value) is not None
    except ValueError:
        return False


def _is_batch(value: Any) -> bool:
    return _has(value, "first", "count") and _count(value["first"]) and _count(value["count"]) \
        and 2 <= value["count"] <= MAX_BATCH  # fmt: skip


def _is_void(value: Any) -> bool:
    return _has(value, "index", "digest") and _count(value["index"]) and is_digest(value["digest"])


def _is_renewed(value: Any) -> bool:
    shaped = _has(value, "size", "until", "lapsed") and _count(value["size"]) and _count(value["lapsed"])
    return shaped and _is_time(value["until"])


def _is_pruned(value: Any) -> bool:
    shaped = _has(value, "size", "root") and _count(value["size"]) and isinstance(value["root"], str)
    return shaped and _HEX.fullmatch(value["root"]) is not None


_SHAPES = {"batch": _is_batch, "void": _is_void, "renewed": _is_renewed, "pruned": _is_pruned}
