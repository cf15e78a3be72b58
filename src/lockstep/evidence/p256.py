"""ECDSA P-256 public keys and signatures, each in the one form that counts: what a key in AWS KMS signs with.

A key is its uncompressed point in a SubjectPublicKeyInfo (RFC 5480, section 2), a fixed prefix and 65 bytes.
A signature is DER (RFC 3279, section 2.2.3) with both integers positive, in range and as short as can be: an
envelope has one sequence of bytes. Nothing is signed here. The curve's arithmetic is cryptography's, loaded
by the first signature: no stack on one machine has such a key.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
POINT_BYTES = 65
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the curve's group (NIST SP 800-186, 3.2.1.3)."""
MAX_SIGNATURE_BYTES = 72


@dataclass(frozen=True)
class P256PublicKey:
    """point: 0x04, x and y."""

    point: bytes

    @classmethod
    def of_der(cls, der: bytes) -> P256PublicKey:
        """Read a SubjectPublicKeyInfo. Raises ValueError for any other form and for no point of the curve."""
        if not der.startswith(PREFIX) or len(der) != len(PREFIX) + POINT_BYTES:
            raise ValueError("not a P-256 public key with an uncompressed point")
        key = cls(der[len(PREFIX) :])
        key._loaded()
        return key

    @property
    def der(self) -> bytes:
        return PREFIX + self.point

    def _loaded(self) -> EllipticCurvePublicKey:
        from cryptography.hazmat.primitives.asymmetric import ec

        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), self.point)

    def verify(self, signature: bytes, data: bytes) -> None:
        """Raises cryptography's InvalidSignature unless this is a signature over SHA-256 of the data."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils

        prehashed = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
        self._loaded().verify(signature, hashlib.sha256(data).digest(), prehashed)


def is_signature(raw: bytes) -> bool:
    """Whether these bytes are a DER signature in its one form."""
    if not 8 <= len(raw) <= MAX_SIGNATURE_BYTES or raw[0] != 0x30 or raw[1] != len(raw) - 2:
        return False
    rest = raw[2:]
    for _ in range(2):
        number, rest = _integer(rest)
        if number is None or not 0 < number < ORDER:
            return False
    return not rest


def _integer(data: bytes) -> tuple[int | None, bytes]:
    """The DER INTEGER at the front, and what follows; None where there is none in its shortest form."""
    if len(data) < 3 or data[0] != 0x02 or not 0 < data[1] <= len(data) - 2:
        return None, b""
    body, rest = data[2 : 2 + data[1]], data[2 + data[1] :]
    padded = len(body) > 1 and body[0] == 0 and body[1] < 0x80
    if padded or body[0] >= 0x80:
        return None, b""
    return int.from_bytes(body, "big"), rest
