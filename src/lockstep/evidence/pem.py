"""Ed25519 keys as PEM text, in the one form that RFC 8410 gives each of them.

An Ed25519 key has exactly one DER encoding: a fixed prefix and 32 bytes. Reading that form by hand is
stricter than a general parser, and importing cryptography's serialization costs 50 ms in every preview.
A test holds this module against it.
"""

from __future__ import annotations

import base64
import binascii

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_PUBLIC = ("PUBLIC KEY", bytes.fromhex("302a300506032b6570032100"))  # SubjectPublicKeyInfo, RFC 8410 4
_PRIVATE = ("PRIVATE KEY", bytes.fromhex("302e020100300506032b657004220420"))  # PKCS#8 v1, RFC 8410 7
_KEY_BYTES = 32


def public_der(key: Ed25519PublicKey) -> bytes:
    """The DER SubjectPublicKeyInfo, 44 bytes."""
    return _PUBLIC[1] + key.public_bytes_raw()


def public_pem(key: Ed25519PublicKey) -> str:
    return _text(_PUBLIC[0], public_der(key))


def private_pem(key: Ed25519PrivateKey) -> str:
    """Unencrypted PKCS#8."""
    return _text(_PRIVATE[0], _PRIVATE[1] + key.private_bytes_raw())


def read_public(text: str) -> Ed25519PublicKey:
    """Raises ValueError for anything but one Ed25519 public key, in particular for other kinds of keys."""
    return Ed25519PublicKey.from_public_bytes(_raw(text, *_PUBLIC))


def read_private(text: str) -> Ed25519PrivateKey:
    """Raises ValueError for anything but one unencrypted Ed25519 private key."""
    return Ed25519PrivateKey.from_private_bytes(_raw(text, *_PRIVATE))


def _text(label: str, der: bytes) -> str:
    return f"-----BEGIN {label}-----\n{base64.b64encode(der).decode('ascii')}\n-----END {label}-----\n"


def _raw(text: str, label: str, prefix: bytes) -> bytes:
    lines = text.strip().splitlines()
    if len(lines) < 3 or (lines[0], lines[-1]) != (f"-----BEGIN {label}-----", f"-----END {label}-----"):
        raise ValueError(f"not a PEM {label}")
    try:
        der = base64.b64decode("".join(lines[1:-1]), validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
    if not der.startswith(prefix) or len(der) != len(prefix) + _KEY_BYTES:
        raise ValueError("not an Ed25519 key")
    return der[len(prefix) :]
