"""A signing key, and the roles there are to sign in. Ed25519, PKCS#8 PEM files.

Who needs a signature asks for no more than one of two seams: `Sealer` puts what was said into an envelope,
`HeadSigner` signs the text of a log's head. A key in a file does both; keys that somebody else keeps do one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, get_args

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lockstep import canonical
from lockstep.errors import IntegrityError, UsageError
from lockstep.evidence import dsse, pem

Role: TypeAlias = Literal["builder", "approver", "deployer", "log"]
ROLES: tuple[Role, ...] = get_args(Role)
LOCAL = "local"


class Sealer(Protocol):
    """Signs envelopes. keyid: of the public half."""

    @property
    def keyid(self) -> str: ...

    def sign(self, payload_type: str, payload: bytes) -> dict[str, Any]:
        """A DSSE envelope around the payload, as JSON."""


class HeadSigner(Protocol):
    """Signs heads, which are Ed25519 and nothing else: notes know no other kind."""

    @property
    def public_raw(self) -> bytes:
        """The 32 bytes of the public key."""

    def sign_bytes(self, data: bytes) -> bytes:
        """The 64 bytes of the raw signature; equal data give equal bytes, so that two writers agree."""


@dataclass(frozen=True)
class Signer:
    """A private key. keyid: of its public half; never printed, and its repr shows nothing secret."""

    keyid: str
    public_pem: str
    _key: Ed25519PrivateKey = field(repr=False, compare=False)

    @classmethod
    def load(cls, path: Path) -> Signer:
        """Read a PKCS#8 PEM. Raises UsageError `keys.missing`, IntegrityError `keys.malformed`."""
        try:
            return cls.of(pem.read_private(path.read_bytes().decode("ascii")))
        except FileNotFoundError:
            raise UsageError(
                f"there is no signing key {path.name}", code="keys.missing", remedy="./lockstep env"
            ) from None
        except ValueError:
            raise malformed_key(f"the signing key {path.name} is no Ed25519 key in PKCS#8 PEM") from None

    @classmethod
    def of(cls, key: Ed25519PrivateKey) -> Signer:
        public = key.public_key()
        return cls(keyid_of(public), pem.public_pem(public), key)

    @classmethod
    def generate(cls) -> Signer:
        """A new random key."""
        return cls.of(Ed25519PrivateKey.generate())

    @property
    def public_raw(self) -> bytes:
        """The 32 bytes of the public key."""
        return self._key.public_key().public_bytes_raw()

    def private_pem(self) -> bytes:
        return pem.private_pem(self._key).encode("ascii")

    def sign_bytes(self, data: bytes) -> bytes:
        """The 64 bytes of the raw Ed25519 signature over `data`."""
        return self._key.sign(data)

    def sign(self, payload_type: str, payload: bytes) -> dict[str, Any]:
        """A DSSE envelope around the payload, as JSON. Equal inputs give equal bytes (RFC 8032)."""
        signature = self.sign_bytes(dsse.pre_authentication(payload_type, payload))
        return dsse.build(payload_type, payload, {self.keyid: signature})


def person(role: str, keyid: str, public_pem: str) -> dict[str, Any]:
    """Somebody with one role and one key, as files of trust have people."""
    return {"roles": [role], "keys": {keyid: public_pem}}


def as_line(name: str, somebody: dict[str, Any]) -> str:
    """A person as a line of roles.json."""
    return canonical.canonical({name: somebody}).decode()[1:-1]


def keyid_of(key: pem.PublicKey) -> str:
    """SHA-256, in hex, of the DER SubjectPublicKeyInfo."""
    return hashlib.sha256(pem.public_der(key)).hexdigest()


def malformed_key(message: str) -> IntegrityError:
    return IntegrityError(
        message, code="keys.malformed", remedy="restore the file, or remove it and run ./lockstep env"
    )
