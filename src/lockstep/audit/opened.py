"""An audit log that was opened: its bucket, whose signatures count in it, and what goes with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from lockstep.audit.bucket import Bucket
from lockstep.audit.log import Log
from lockstep.audit.note import Head, NoteKey
from lockstep.errors import IntegrityError
from lockstep.evidence.keys import Trust


@dataclass(frozen=True)
class OpenLog:
    """A stack's audit log. history_dir: the engine's history files, where the backend has them as files;
    running: whether its server answers, or the server's folder is read."""

    bucket: Bucket
    log: Log
    origin: str
    trust: Trust
    log_keys: tuple[NoteKey, ...]
    history_dir: Path | None
    running: bool


def keys_of_log(trust: Trust, origin: str) -> tuple[NoteKey, ...]:
    """The verifier keys of the people who may sign heads, under the log's name."""
    keys = trust.keys_of("log").values()  # all of them are Ed25519: `load_trust` takes no other
    return tuple(NoteKey(origin, key.public_bytes_raw()) for key in keys if isinstance(key, Ed25519PublicKey))


def refuse_lost_log(kept: Sequence[Head], what: str) -> None:
    """There is no log; raise IntegrityError `audit.log_gone` where a kept head says that there was one.

    what: is to be brought back.
    """
    newest = max(kept, key=lambda head: head.size, default=None)
    if newest is not None and newest.size:
        raise IntegrityError(
            f"the log had {newest.size} records when it was last seen, and its bucket is gone",
            code="audit.log_gone",
            remedy=f"bring {what} back; docs/adr/0014 says how to give {newest} up",
        )
