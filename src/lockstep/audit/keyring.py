"""The keys that a reader brings: all that it takes, besides an export, to verify a log anywhere.

Each is a verifier key as signed notes write it, `name+hash+base64`. A log's key is named after its origin,
`lockstep/<stack>`; a deployer's after the person (percent-encoded), whose records it proves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from lockstep.audit.note import ECDSA, NoteKey
from lockstep.errors import UsageError
from lockstep.evidence.keys import Person, Trust
from lockstep.evidence.p256 import P256PublicKey
from lockstep.evidence.pem import PublicKey
from lockstep.evidence.signer import keyid_of

DEPLOYERS = "deployers.vkey"
"""In an export: the keys of those who may sign records."""
MAX_KEY_FILE = 64 * 1024


@dataclass(frozen=True)
class Keyring:
    """log_keys: whose heads count, all under one origin; deployers: whose records count."""

    origin: str
    log_keys: tuple[NoteKey, ...]
    deployers: tuple[NoteKey, ...]

    @property
    def trust(self) -> Trust:
        people: dict[str, Person] = {}
        for key in self.deployers:
            public = _public(key)
            name = unquote(key.name)
            known = people[name].keys if name in people else {}
            people[name] = Person(name, frozenset({"deployer"}), {**known, keyid_of(public): public})
        return Trust("the keys given", people)


def read_keyring(texts: Sequence[str]) -> Keyring:
    """Keys from the command line: each a verifier key, or a file with one a line.

    Raises UsageError `audit.bad_key` unless there is a log's key, and all of them are of one log.
    """
    keys = [key for text in texts for key in _read(text)]
    log_keys = tuple(key for key in keys if "/" in key.name)
    if any(key.algorithm == ECDSA for key in log_keys):
        raise _bad("a log's key is Ed25519, and one of these is not")
    origins = sorted({key.name for key in log_keys})
    if len(origins) != 1:
        said = f"of {len(origins)} logs" if origins else "of people only"
        raise _bad(f"these keys are {said}; one log's key is needed (`lockstep/<stack>+...`)")
    return Keyring(origins[0], log_keys, tuple(key for key in keys if "/" not in key.name))


def deployer_keys(trust: Trust) -> list[NoteKey]:
    """The keys of everybody who may sign records, as verifier keys."""
    return [
        _verifier(quote(person.name, safe=""), key)
        for person in trust.people.values()
        if "deployer" in person.roles
        for key in person.keys.values()
    ]


def _verifier(name: str, key: PublicKey) -> NoteKey:
    if isinstance(key, P256PublicKey):
        return NoteKey(name, key.der, ECDSA)
    return NoteKey(name, key.public_bytes_raw())


def _public(key: NoteKey) -> PublicKey:
    try:
        if key.algorithm == ECDSA:
            return P256PublicKey.of_der(key.public)
        return Ed25519PublicKey.from_public_bytes(key.public)
    except ValueError:
        raise _bad(f"the key of {key.name} is no P-256 public key") from None


def carried_keys(export: Path) -> tuple[NoteKey, ...]:
    """The deployers' keys that an export carries: worth what its records are worth, and no more."""
    path = export / DEPLOYERS
    return tuple(_read(str(path))) if path.is_file() else ()


def _read(text: str) -> list[NoteKey]:
    if "+" in text and "\n" not in text.strip() and not Path(text).is_file():
        return [NoteKey.parse(text)]
    try:
        with Path(text).open("rb") as file:
            lines = file.read(MAX_KEY_FILE).decode("utf-8", "replace").splitlines()
    except (OSError, ValueError):
        raise _bad(f"{text[:80]!r} is no verifier key and no file with one") from None
    return [NoteKey.parse(line) for line in lines if line.strip()]


def _bad(message: str) -> UsageError:
    remedy = "print them with `./lockstep audit key` and `./lockstep audit key --deployers`"
    return UsageError(message, code="audit.bad_key", remedy=remedy)
