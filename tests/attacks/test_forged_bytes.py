"""Bytes that are no record, although they lie where one should."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest

from lockstep.audit.layout import record_key
from lockstep.audit.record import seal
from tests.support.forged import Forged, replaced_record, signed


def whitespace(leaf: bytes) -> bytes:
    return leaf + b"\n"


def unordered(leaf: bytes) -> bytes:
    value = json.loads(leaf)
    return json.dumps(dict(sorted(value.items(), reverse=True)), separators=(",", ":")).encode()


def duplicated(leaf: bytes) -> bytes:
    return leaf[:-1] + b',"payloadType":"x"}'


def garbage(_leaf: bytes) -> bytes:
    return b"\x00garbage"


@pytest.mark.parametrize("damage", [whitespace, unordered, duplicated, garbage])
def test_bytes_that_are_no_canonical_record(forged: Forged, damage: Callable[[bytes], bytes]) -> None:
    replaced_record(forged, 5, damage(forged.bucket.get(record_key(5))))
    forged.only("audit.malformed_record", index=5)


def test_a_record_with_an_unknown_field(forged: Forged) -> None:
    replaced_record(forged, 5, signed(forged, 5, extra=1))
    forged.only("audit.malformed_record", index=5)


def test_a_payload_under_another_type(forged: Forged) -> None:
    envelope = json.loads(forged.bucket.get(record_key(5)))
    payload = base64.b64decode(envelope["payload"])
    replaced_record(forged, 5, seal(forged.deployer.sign("application/vnd.in-toto+json", payload)))
    forged.only("audit.wrong_key", index=5)
