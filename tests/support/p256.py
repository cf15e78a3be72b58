"""A private P-256 key in a test's memory, which seals as a key in AWS KMS does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lockstep.evidence import dsse
from lockstep.evidence.p256 import P256PublicKey
from lockstep.evidence.signer import keyid_of


@dataclass(frozen=True)
class P256Sealer:
    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def public(self) -> P256PublicKey:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return P256PublicKey.of_der(self.private.public_key().public_bytes(serialization.Encoding.DER, form))

    @property
    def keyid(self) -> str:
        return keyid_of(self.public)

    def sign_bytes(self, data: bytes) -> bytes:
        return self.private.sign(data, ec.ECDSA(hashes.SHA256()))

    def sign(self, payload_type: str, payload: bytes) -> dict[str, Any]:
        signature = self.sign_bytes(dsse.pre_authentication(payload_type, payload))
        return dsse.build(payload_type, payload, {self.keyid: signature})
