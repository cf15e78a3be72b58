"""Keys as PEM text, each kind in its one form: Ed25519 by RFC 8410, public P-256 by `p256`.

An Ed25519 key has exactly one DER encoding: a fixed prefix and 32 bytes. Reading that form by hand is
stricter than a general parser, and importing cryptography's serialization costs 50 ms in every preview.
A test holds this module against it.
"""

from __future__ import annotations

import base64
import binascii
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lockstep.evidence.p256 import P256PublicKey

PublicKey: TypeAlias = Ed25519PublicKey | P256PublicKey

_PUBLIC = ("PUBLIC KEY", bytes.fromhex("302a300506032b6570032100"))  # SubjectPublicKeyInfo, RFC 8410 4
_PRIVATE = ("PRIVATE KEY", bytes.fromhex("302e020100300506032b657004220420"))  # PKCS#8 v1, RFC 8410 7
_KEY_BYTES = 32
_LINE = 64


def public_der(key: PublicKey) -> bytes:
    """The DER SubjectPublicKeyInfo: 44 bytes of an Ed25519 key, 91 of a P-256 one."""
    return key.der if isinstance(key, P256PublicKey) else _PUBLIC[1] + key.public_bytes_raw()


def public_pem(key: PublicKey) -> str:
    return _text(_PUBLIC[0], public_der(key))


def private_pem(key: Ed25519PrivateKey) -> str:
    """Unencrypted PKCS#8."""
    return _text(_PRIVATE[0], _PRIVATE[1] + key.private_bytes_raw())


def read_public(text: str) -> PublicKey:
    """Raises ValueError for anything but one Ed25519 or P-256 public key, in particular for other kinds."""
    return of_der(_der(text, _PUBLIC[0]))


def of_der(der: bytes) -> PublicKey:
    """The key in a SubjectPublicKeyInfo. Raises ValueError as `read_public` does."""
    if len(der) == len(_PUBLIC[1]) + _KEY_BYTES:
        return Ed25519PublicKey.from_public_bytes(_raw(der, _PUBLIC[1]))
    return P256PublicKey.of_der(der)


def read_private(text: str) -> Ed25519PrivateKey:
    """Raises ValueError for anything but one unencrypted Ed25519 private key."""
    return Ed25519PrivateKey.from_private_bytes(_raw(_der(text, _PRIVATE[0]), _PRIVATE[1]))


def _text(label: str, der: bytes) -> str:
    data = base64.b64encode(der).decode("ascii")
    lines = [data[start : start + _LINE] for start in range(0, len(data), _LINE)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def _der(text: str, label: str) -> bytes:
    lines = text.strip().splitlines()
    if len(lines) < 3 or (lines[0], lines[-1]) != (f"-----BEGIN {label}-----", f"-----END {label}-----"):
        raise ValueError(f"not a PEM {label}")
    try:
        return base64.b64decode("".join(lines[1:-1]), validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None


def _raw(der: bytes, prefix: bytes) -> bytes:
    if not der.startswith(prefix) or len(der) != len(prefix) + _KEY_BYTES:
        raise ValueError("not an Ed25519 key")
    return der[len(prefix) :]
