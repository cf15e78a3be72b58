"""Signing keys in AWS KMS: records with ECDSA P-256, heads with Ed25519. Private halves never leave it.

KMS hashes at most 4096 bytes itself, so of a record it gets the SHA-256, which is what ECDSA signs anyway
(MessageType DIGEST). A head is short, and Ed25519 is over the message itself (ED25519_SHA_512 wants RAW).
What comes back is verified before it is used.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from lockstep.aws.service import Refused, Service
from lockstep.errors import IntegrityError, UsageError
from lockstep.evidence import dsse, pem
from lockstep.evidence.signer import keyid_of
from lockstep.paths import PROJECT

RECORDS, HEADS = "records", "heads"
SPECS = {RECORDS: "ECC_NIST_P256", HEADS: "ECC_NIST_EDWARDS25519"}


def alias_of(environment: str, noun: str) -> str:
    """What the program calls a key: found by name, so that nothing of it stands in config."""
    return f"alias/{PROJECT}-{environment}-{noun}"


def arn_of(kms: Service, alias: str) -> str | None:
    """The ARN of the key behind an alias; None where there is no such alias. Raises Refused, Unavailable,
    IntegrityError `aws.other_key`, UsageError `aws.key_unusable` for a disabled one or one to be deleted."""
    try:
        said = _ask(kms, "DescribeKey", KeyId=alias)
    except Refused as error:
        if error.name != "NotFoundException":
            raise
        return None
    about = said.get("KeyMetadata") or {}
    arn, state = about.get("Arn"), about.get("KeyState")
    if not isinstance(arn, str) or arn.count(":") < 5:
        raise _other_key(alias, f"has no ARN: {arn!r}")
    if state != "Enabled":
        raise UsageError(
            f"the key {alias} in {kms.region} is {state}",
            code="aws.key_unusable",
            remedy="cancel its deletion and enable it: what it encrypted cannot be read without it",
        )
    return arn


@dataclass(frozen=True)
class KmsKey:
    """A key as it was when it was looked up. arn: asked from then on, so that an alias that is moved in
    between changes nothing."""

    kms: Service
    arn: str
    public: pem.PublicKey

    @classmethod
    def find(cls, kms: Service, environment: str, noun: str) -> Self:
        """The key that signs `noun`. Raises UsageError `aws.no_key`, IntegrityError `aws.other_key`."""
        alias = alias_of(environment, noun)
        try:
            said = _ask(kms, "GetPublicKey", KeyId=alias)
        except Refused as error:
            if error.name != "NotFoundException":
                raise
            raise UsageError(
                f"there is no signing key {alias} in {kms.region}",
                code="aws.no_key",
                remedy="`./lockstep up` declares it; is the first of lockstep:regions still the log's home?",
            ) from None
        if (said.get("KeySpec"), said.get("KeyUsage")) != (SPECS[noun], "SIGN_VERIFY"):
            raise _other_key(alias, f"is {said.get('KeySpec')} for {said.get('KeyUsage')}, not {SPECS[noun]}")
        try:
            return cls(kms, str(said["KeyId"]), pem.of_der(_decode(said["PublicKey"])))
        except (KeyError, ValueError) as error:
            raise _other_key(alias, f"has a public half that cannot be read: {error}") from None

    @property
    def keyid(self) -> str:
        return keyid_of(self.public)

    def _sign(self, message: bytes, message_type: str, algorithm: str, signed: bytes) -> bytes:
        """The signature, verified over `signed`."""
        said = _ask(
            self.kms,
            "Sign",
            KeyId=self.arn,
            Message=base64.b64encode(message).decode("ascii"),
            MessageType=message_type,
            SigningAlgorithm=algorithm,
        )
        try:
            signature = _decode(said.get("Signature"))
            self.public.verify(signature, signed)
        except (InvalidSignature, ValueError):
            raise IntegrityError(
                f"KMS signed with {self.arn}, and its public half does not verify that",
                code="aws.bad_signature",
                remedy="nothing was written; see AWS_ENDPOINT_URL_KMS, and who answers in place of KMS",
            ) from None
        return signature


@dataclass(frozen=True)
class KmsSealer(KmsKey):
    """Seals records (`evidence.signer.Sealer`)."""

    def sign(self, payload_type: str, payload: bytes) -> dict[str, Any]:
        signed = dsse.pre_authentication(payload_type, payload)
        signature = self._sign(hashlib.sha256(signed).digest(), "DIGEST", "ECDSA_SHA_256", signed)
        return dsse.build(payload_type, payload, {self.keyid: signature})


@dataclass(frozen=True)
class KmsHeads(KmsKey):
    """Signs heads (`evidence.signer.HeadSigner`)."""

    @property
    def public_raw(self) -> bytes:
        if not isinstance(self.public, Ed25519PublicKey):
            raise _other_key(self.arn, "does not sign with Ed25519")
        return self.public.public_bytes_raw()

    def sign_bytes(self, data: bytes) -> bytes:
        return self._sign(data, "RAW", "ED25519_SHA_512", data)


def _ask(kms: Service, operation: str, **words: str) -> dict[str, Any]:
    return kms.call(f"TrentService.{operation}", **words)


def _decode(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None


def _other_key(name: str, what: str) -> IntegrityError:
    return IntegrityError(
        f"the key {name} {what}",
        code="aws.other_key",
        remedy="see who moved that alias; policies/data/roles.json has the key that belongs there",
    )
