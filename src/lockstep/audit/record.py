"""One record of the audit log: its fields, and the signed bytes that are its leaf in the tree.

A record is a canonical JSON object in a DSSE envelope, itself in canonical JSON; these exact bytes are
the leaf. Every field is always present, null where it does not apply:

    kind      intent: what is about to change; outcome: what came of it; denied; rollback and retry: what a
              person decided about a release; history: Pulumi's files since the last listing;
              void, renewed, pruned: what was done to the log itself
    actor     {"claimed": who the caller says it is, "proven": {"person", "keyid"} of the signature}
    from, to  the table before and after, as the intent means it; live: the table that was read back
    decision  the gate's answer, with bundle revision and input digest
    intent    outcome: the index of the intent that it closes
    marked    intent: the standing marks that it will make; outcome: those made
    standing, former, barred, ready, promotion, cell_intent
              what `state.fold` says after this record, so that a reader needs no older one
    digest    rollback and retry: the release in question; target: the table to go back to
    log       what the record says about the log itself (`about`)

Version 1 had no field `log`; its records stay readable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from lockstep.audit.layout import MAX_RECORD_BYTES
from lockstep.audit.shape import LISTS, OPTIONAL, VERSION, Kind, check, malformed
from lockstep.canonical import canonical, digest, parse_canonical
from lockstep.errors import IntegrityError

PAYLOAD_TYPE = "application/vnd.lockstep.record+json"


class Verified(Protocol):
    """What a trust says about a good signature (`lockstep.evidence.keys.Signed`)."""

    @property
    def person(self) -> str: ...
    @property
    def keyid(self) -> str: ...
    @property
    def payload(self) -> bytes: ...


class RecordTrust(Protocol):
    """Who may sign records (`lockstep.evidence.keys.Trust`)."""

    def verify(self, envelope: object, payload_type: str, role: str) -> Verified: ...


@dataclass(frozen=True)
class Record:
    """A record that was read and verified. fields: the JSON object; person: who proved to have signed it."""

    index: int
    kind: str
    time: str
    person: str
    keyid: str
    fields: Mapping[str, Any]
    leaf: bytes

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    @property
    def digest(self) -> str:
        return digest(self.leaf)


def draft(kind: Kind, *, claimed: str, **fields: Any) -> dict[str, Any]:
    """The caller's half of a record: everything but version, index, origin, time and the proven actor.

    A word of Python stands for one of the format: `from_` for `from`. Unknown fields raise TypeError.
    """
    named = {name.rstrip("_"): value for name, value in fields.items()}
    unknown = set(named) - set(OPTIONAL) - set(LISTS)
    if unknown:
        raise TypeError(f"a record has no field {', '.join(sorted(unknown))}")
    blank: dict[str, Any] = {name: None for name in OPTIONAL} | {name: [] for name in LISTS}
    return blank | named | {"kind": kind, "actor": {"claimed": claimed, "proven": None}}


def complete(
    draft: Mapping[str, Any], *, index: int, origin: str, time: str, person: str, keyid: str
) -> dict[str, Any]:
    """The record that is signed. Raises IntegrityError `audit.malformed_record` if the draft is none."""
    record = {
        **draft,
        "v": VERSION,
        "index": index,
        "origin": origin,
        "time": time,
        "actor": {**draft["actor"], "proven": {"person": person, "keyid": keyid}},
    }
    check(record)
    return record


def seal(envelope: object) -> bytes:
    """The leaf: the envelope in canonical JSON, within the size that a record may have."""
    leaf = canonical(envelope)
    if len(leaf) > MAX_RECORD_BYTES:
        raise malformed(f"it has {len(leaf)} bytes, {MAX_RECORD_BYTES} are the most")
    return leaf


def open_record(leaf: bytes, index: int, origin: str, trust: RecordTrust) -> Record:
    """Read and verify the record that lies at an index.

    Raises IntegrityError: `audit.malformed_record` (not canonical, not an envelope, a field), the trust's
    own codes for a signature that does not count, `audit.wrong_origin`, `audit.wrong_index`,
    `audit.wrong_actor` (it claims another signer than the one who signed).
    """
    if len(leaf) > MAX_RECORD_BYTES:
        raise malformed(f"it has {len(leaf)} bytes, {MAX_RECORD_BYTES} are the most")
    try:
        envelope = parse_canonical(leaf)
    except IntegrityError as error:
        raise malformed(error.message) from None
    signed = trust.verify(envelope, PAYLOAD_TYPE, "deployer")
    try:
        record = parse_canonical(signed.payload)
    except IntegrityError as error:
        raise malformed(error.message) from None
    check(record)
    if record["origin"] != origin:
        raise _misplaced("wrong_origin", f"it belongs to the log {record['origin']!r}, not {origin!r}")
    if record["index"] != index:
        raise _misplaced("wrong_index", f"it was signed as record {record['index']}, and lies at {index}")
    if record["actor"]["proven"] != {"person": signed.person, "keyid": signed.keyid}:
        raise _misplaced("wrong_actor", f"it names another signer than {signed.person}, who signed it")
    return Record(index, record["kind"], record["time"], signed.person, signed.keyid, record, leaf)


def _misplaced(what: str, message: str) -> IntegrityError:
    return IntegrityError(
        message, code=f"audit.{what}", remedy="run `./lockstep audit verify`; the log was changed outside"
    )
