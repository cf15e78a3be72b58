"""DSSE envelopes with Ed25519 or ECDSA P-256: what is signed is the payload's type and its exact bytes.

The format is https://github.com/secure-systems-lab/dsse (protocol and envelope, v1). It is written out
here because importing securesystemslib costs half a second in every preview; a test holds the two
against each other. Shares no state with anything and trusts no key: that is `keys.Trust`.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

from lockstep.errors import IntegrityError
from lockstep.evidence import p256

_KEYID = re.compile(r"[0-9a-f]{64}")
ED25519_BYTES = 64


@dataclass(frozen=True)
class Envelope:
    """A parsed envelope. signatures: (key id, raw bytes) pairs, ids distinct; nothing is verified yet."""

    payload_type: str
    payload: bytes
    signatures: tuple[tuple[str, bytes], ...]

    @property
    def signed_bytes(self) -> bytes:
        return pre_authentication(self.payload_type, self.payload)


def pre_authentication(payload_type: str, payload: bytes) -> bytes:
    """The bytes that are signed: DSSE's pre-authentication encoding (PAE)."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def build(payload_type: str, payload: bytes, signatures: dict[str, bytes]) -> dict[str, Any]:
    """The envelope as JSON: payload and signatures in standard base64."""
    return {
        "payload": base64.b64encode(payload).decode("ascii"),
        "payloadType": payload_type,
        "signatures": [
            {"keyid": keyid, "sig": base64.b64encode(signature).decode("ascii")}
            for keyid, signature in signatures.items()
        ],
    }


def parse(value: object) -> Envelope:
    """Read an envelope strictly. Raises IntegrityError `evidence.malformed` for any other form.

    Unknown members, other base64 than the one canonical spelling, double key ids and signatures of
    another form are refused: one envelope has one sequence of bytes.
    """
    if not isinstance(value, dict) or set(value) != {"payload", "payloadType", "signatures"}:
        raise malformed("an envelope has payload, payloadType and signatures, and nothing else")
    kind, listed = value["payloadType"], value["signatures"]
    if not isinstance(kind, str) or not isinstance(listed, list) or not listed:
        raise malformed("an envelope has a payload type and a list of signatures")
    signatures = tuple(_signature(item) for item in listed)
    if len({keyid for keyid, _ in signatures}) != len(signatures):
        raise malformed("an envelope has two signatures of one key")
    return Envelope(kind, _decode(value["payload"]), signatures)


def _signature(item: object) -> tuple[str, bytes]:
    if not isinstance(item, dict) or set(item) != {"keyid", "sig"}:
        raise malformed("a signature has keyid and sig, and nothing else")
    keyid, raw = item["keyid"], _decode(item["sig"])
    if not isinstance(keyid, str) or not _KEYID.fullmatch(keyid):
        raise malformed("a signature has a key id of 64 hex digits")
    if len(raw) != ED25519_BYTES and not p256.is_signature(raw):
        raise malformed("a signature is 64 bytes of Ed25519, or ECDSA P-256 in DER")
    return keyid, raw


def _decode(text: object) -> bytes:
    if not isinstance(text, str):
        raise malformed("base64 text is missing from an envelope")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise malformed("an envelope's base64 cannot be read") from None
    if base64.b64encode(data).decode("ascii") != text:
        raise malformed("an envelope's base64 is not in its one canonical spelling")
    return data


def malformed(message: str) -> IntegrityError:
    return IntegrityError(
        message, code="evidence.malformed", remedy="ask who signed this for the original and compare"
    )
