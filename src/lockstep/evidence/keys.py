"""Who may say what: signing keys, the people they belong to, and the roles that people have.

Keys belong to people, and distinctness is counted by person. People and their public keys stand in
policies/data: `roles.json` (committed, one part for each environment) and `local.json` (this checkout's
own keys, ignored by git). Only the environment `local` ever reads `local.json`.

    {"environment": "local", "people": {"local-builder": {"roles": ["builder"], "keys": {KEYID: PEM}}}}

A key id is the SHA-256, in hex, of the key's DER SubjectPublicKeyInfo, and is checked when read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature

from lockstep import canonical
from lockstep.errors import IntegrityError, UsageError
from lockstep.evidence import dsse, pem
from lockstep.evidence.local_keys import ensure_local_keys
from lockstep.evidence.p256 import P256PublicKey
from lockstep.evidence.pem import PublicKey
from lockstep.evidence.signer import LOCAL, ROLES, Role, Signer, keyid_of, malformed_key

__all__ = [
    "LOCAL",
    "ROLES",
    "Person",
    "Role",
    "Signed",
    "Signer",
    "Trust",
    "ensure_local_keys",
    "load_trust",
    "read_trust",
]


@dataclass(frozen=True)
class Person:
    """roles: what the person may sign; keys: key id -> public key."""

    name: str
    roles: frozenset[str]
    keys: Mapping[str, PublicKey]


@dataclass(frozen=True)
class Signed:
    """A payload and who proved to have signed it. person: by the key, never by a name in the payload."""

    person: str
    keyid: str
    payload: bytes


@dataclass(frozen=True)
class Trust:
    """The people of one environment."""

    environment: str
    people: Mapping[str, Person]

    def verify(self, envelope: object, payload_type: str, role: str) -> Signed:
        """The payload, proven to be signed by a person who has the role.

        Raises IntegrityError `evidence.malformed` (not an envelope), `evidence.wrong_type` (signed as
        something else), `evidence.unknown_key`, `evidence.wrong_role`, `evidence.bad_signature`. A
        signature by a stranger beside a good one does no harm; a broken one by a known key is refused.
        """
        parsed = dsse.parse(envelope)
        if parsed.payload_type != payload_type:
            raise _refused("wrong_type", f"signed as {parsed.payload_type!r}, not as {payload_type!r}")
        signers = [(self._owner(keyid), keyid, raw) for keyid, raw in parsed.signatures]
        known = [(person, keyid, raw) for person, keyid, raw in signers if person is not None]
        if not known:
            raise _refused("unknown_key", f"signed by a key that nobody in {self.environment} has")
        for person, keyid, raw in known:
            try:
                person.keys[keyid].verify(raw, parsed.signed_bytes)
            except InvalidSignature:
                raise _refused("bad_signature", f"the signature of {person.name} does not verify") from None
        for person, keyid, _ in known:
            if role in person.roles:
                return Signed(person.name, keyid, parsed.payload)
        names = ", ".join(sorted({person.name for person, _, _ in known}))
        raise _refused("wrong_role", f"signed by {names}, who is not a {role} in {self.environment}")

    def _owner(self, keyid: str) -> Person | None:
        return next((person for person in self.people.values() if keyid in person.keys), None)

    def keys_of(self, role: str) -> dict[str, PublicKey]:
        """Every public key of the people who have a role, by key id."""
        people = (person for person in self.people.values() if role in person.roles)
        return {keyid: key for person in people for keyid, key in person.keys.items()}


def _refused(what: str, message: str) -> IntegrityError:
    remedy = "sign with a key of a person who has the role; policies/data names them"
    return IntegrityError(message, code=f"evidence.{what}", remedy=remedy)


def load_trust(policies: Path, environment: str) -> Trust:
    """The people of an environment, from the folder `policies`.

    `local` is read from data/local.json and nothing else; every other environment from its part of
    data/roles.json and nothing else. An environment without people trusts nobody.
    Raises UsageError `keys.missing` (local, no file yet) and `keys.environment` (no such environment),
    IntegrityError `keys.malformed`.
    """
    if environment == LOCAL:
        value = _read(policies / "data" / "local.json")
        if not isinstance(value, dict) or value.get("environment") != LOCAL:
            raise malformed_key("policies/data/local.json is not for the environment local")
    else:
        environments = _read(policies / "data" / "roles.json")
        if not isinstance(environments, dict) or environment not in environments:
            raise UsageError(
                f"policies/data/roles.json knows no environment {environment!r}",
                code="keys.environment",
                remedy="add it there, or name one that is there",
            )
        value = environments[environment]
    return _people(value, environment)


def read_trust(path: Path, environment: str) -> Trust:
    """The people of one file, whatever environment it is used for: for runs that are no environment's own.

    Raises UsageError `keys.missing`, IntegrityError `keys.malformed`.
    """
    return _people(_read(path), environment)


def _people(value: object, environment: str) -> Trust:
    people = value.get("people") if isinstance(value, dict) else None
    if not isinstance(people, dict):
        raise malformed_key(f"the people of {environment} cannot be read")
    read = {name: _person(name, person) for name, person in people.items()}
    keyids = [keyid for person in read.values() for keyid in person.keys]
    if len(set(keyids)) != len(keyids):
        raise malformed_key(f"one key belongs to two people of {environment}")
    return Trust(environment, read)


def _read(path: Path) -> Any:
    try:
        return canonical.parse(path.read_bytes())
    except FileNotFoundError:
        raise UsageError(
            f"policies/data/{path.name} is not there", code="keys.missing", remedy="./lockstep env"
        ) from None


def _person(name: str, value: object) -> Person:
    if not isinstance(value, dict) or set(value) != {"roles", "keys"}:
        raise malformed_key(f"{name} needs exactly roles and keys")
    roles, keys = value["roles"], value["keys"]
    if not isinstance(roles, list) or not all(role in ROLES for role in roles):
        raise malformed_key(f"the roles of {name} are not from: {', '.join(ROLES)}")
    if not isinstance(keys, dict):
        raise malformed_key(f"the keys of {name} cannot be read")
    read = {keyid: _public(name, keyid, text) for keyid, text in keys.items()}
    if "log" in roles and any(isinstance(key, P256PublicKey) for key in read.values()):
        raise malformed_key(f"{name} signs heads, and heads are signed with Ed25519 alone")
    return Person(name, frozenset(roles), read)


def _public(name: str, keyid: str, text: object) -> PublicKey:
    try:
        key = pem.read_public(str(text))
    except ValueError:
        raise malformed_key(f"a key of {name} is no Ed25519 or P-256 public key in PEM") from None
    if keyid_of(key) != keyid:
        raise malformed_key(f"a key of {name} is not the one that its id {keyid[:12]} names")
    return key
