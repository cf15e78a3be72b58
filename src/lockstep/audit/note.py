"""Signed heads: C2SP tlog-checkpoint (https://c2sp.org/tlog-checkpoint) in a C2SP signed note, Ed25519.

lockstep/local                       origin
42                                   size, decimal, no leading zero
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2...  base64 of the root

— lockstep/local Az3grlgtzPICa5OS... name, base64 of (4 bytes key hash || signature)
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lockstep.audit.layout import MAX_SIZE
from lockstep.audit.merkle import EMPTY_ROOT, HASH_BYTES
from lockstep.errors import IntegrityError

ED25519 = b"\x01"
ECDSA = b"\x02"
MAX_HEAD_BYTES = 4096
_SIZE = re.compile(r"0|[1-9][0-9]{0,9}")
_PLAIN = re.compile(r"(0|[1-9][0-9]{0,9}):([0-9a-f]{64})")
_NAME = re.compile(r"[^\s+]+")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class Head:
    """A statement of the log key: the log of this origin had `size` records and this root (hex).

    note: the signed note that says so; empty where somebody only handed on the two values.
    """

    origin: str
    size: int
    root: str
    note: bytes = b""

    def __str__(self) -> str:
        return f"{self.size}:{self.root}"

    @classmethod
    def read(cls, text: str, origin: str) -> Head | None:
        """A head as `str` writes it, SIZE:ROOT; None for any other text. Nothing is verified by it."""
        match = _PLAIN.fullmatch(text)
        if match is None or int(match.group(1)) > MAX_SIZE:
            return None
        head = cls(origin, int(match.group(1)), match.group(2))
        return None if head.size == 0 and head.root != EMPTY_ROOT.hex() else head


@dataclass(frozen=True)
class NoteKey:
    """A verifier key: of a log, always Ed25519, or of a person who signs records.

    public: 32 bytes of Ed25519, or the DER SubjectPublicKeyInfo of an ECDSA key, whose hash is of the DER
    alone (https://c2sp.org/signed-note).
    """

    name: str
    public: bytes
    algorithm: bytes = ED25519

    @property
    def key_hash(self) -> bytes:
        if self.algorithm == ECDSA:
            return hashlib.sha256(self.public).digest()[:4]
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        """The verifier key as signed notes write it: `name+hash+base64(algorithm || key)`."""
        return f"{self.name}+{self.key_hash.hex()}+{base64.b64encode(self.algorithm + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> NoteKey:
        parts = text.strip().split("+", 2)
        if len(parts) == 3 and _NAME.fullmatch(parts[0]):
            raw = _decode(parts[2])
            if raw is not None and (len(raw), raw[:1]) in ((33, ED25519), (92, ECDSA)):
                key = cls(parts[0], raw[1:], raw[:1])
                if key.key_hash.hex() == parts[1]:
                    return key
        raise IntegrityError(
            f"{text.strip()[:80]!r} is not a verifier key",
            code="audit.bad_key",
            remedy="print it with `./lockstep audit key`: name+hash+base64",
        )


def body(origin: str, size: int, root: bytes) -> bytes:
    """The text that is signed."""
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n".encode()


def sign(origin: str, size: int, root: bytes, key: NoteKey, sign_bytes: Callable[[bytes], bytes]) -> bytes:
    """A head as a signed note; `sign_bytes` makes raw Ed25519 signatures with the key's private half."""
    text = body(origin, size, root)
    signature = base64.b64encode(key.key_hash + sign_bytes(text)).decode()
    return text + f"\n— {key.name} {signature}\n".encode()


def _decode(text: str) -> bytes | None:
    """Base64 in its one canonical form; None otherwise."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode() == text else None


def _malformed(what: str) -> IntegrityError:
    return IntegrityError(
        f"malformed head: {what}",
        code="audit.head_malformed",
        remedy="Lockstep did not write this head; `./lockstep audit verify` names the object",
    )


def _parse_body(text: str) -> Head:
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] != "" or not lines[0]:
        raise _malformed("a head has three lines: origin, size, root")
    if not _SIZE.fullmatch(lines[1]) or int(lines[1]) > MAX_SIZE:
        raise _malformed(f"size {lines[1][:20]!r}")
    root = _decode(lines[2])
    if root is None or len(root) != HASH_BYTES:
        raise _malformed("the root is not base64 of 32 bytes")
    if lines[1] == "0" and root != EMPTY_ROOT:
        raise _malformed("a log without records has another root")
    return Head(lines[0], int(lines[1]), root.hex())


def _signed_by(text: bytes, signatures: str, keys: Sequence[NoteKey]) -> bool:
    """Whether one line is a good signature of one of the keys; a bad line in the name of one raises."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    good = False
    signers: set[tuple[str, bytes]] = set()
    for line in signatures.split("\n"):
        parts = line.split(" ")
        raw = _decode(parts[2]) if len(parts) == 3 and parts[0] == "—" else None
        if raw is None or len(raw) < 5 or not _NAME.fullmatch(parts[1]):
            raise _malformed("a signature line is not `— name base64`")
        if (parts[1], raw[:4]) in signers:
            raise _malformed(f"{parts[1]} has signed it twice")
        signers.add((parts[1], raw[:4]))
        for key in keys:
            if parts[1] == key.name and raw[:4] == key.key_hash:
                try:
                    Ed25519PublicKey.from_public_bytes(key.public).verify(raw[4:], text)
                except InvalidSignature:
                    raise IntegrityError(
                        f"the signature of {key.name} on this head is wrong",
                        code="audit.head_signature",
                        remedy="the head was changed after it was signed; compare with one kept elsewhere",
                    ) from None
                good = True
    return good


def open_note(data: bytes, keys: Sequence[NoteKey], origin: str) -> Head:
    """Read and verify a head.

    Raises IntegrityError: `audit.head_malformed`, `audit.head_signature`, `audit.wrong_key` (none of the
    keys has signed it), `audit.wrong_origin` (another log's head).
    """
    if len(data) > MAX_HEAD_BYTES:
        raise _malformed(f"{len(data)} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise _malformed("not UTF-8") from None
    if _CONTROL.search(text):
        raise _malformed("a control character")
    signed, separator, signatures = text.rpartition("\n\n")
    if not separator or not signatures.endswith("\n"):
        raise _malformed("no signature, or no newline at the end")
    head = _parse_body(signed + "\n")
    if head.origin != origin:
        raise IntegrityError(
            f"this is the head of {head.origin!r}, not of {origin!r}",
            code="audit.wrong_origin",
            remedy="point the command at the right stack; a head of another log proves nothing here",
        )
    if not _signed_by((signed + "\n").encode(), signatures[:-1], keys):
        raise IntegrityError(
            "no trusted log key has signed this head",
            code="audit.wrong_key",
            remedy="check the verifier key with the log's owner (`./lockstep audit key` prints it)",
        )
    return Head(head.origin, head.size, head.root, data)
