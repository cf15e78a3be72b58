"""Bytes that are no record, although they lie where one should."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest

from lockstep.audit.layout import head_key, record_key
from lockstep.audit.merkle import leaf_hash, node_hash, root_from_path
from lockstep.audit.recompute import leaf
from lockstep.audit.record import PAYLOAD_TYPE, seal
from lockstep.canonical import canonical
from lockstep.errors import IntegrityError
from tests.support.audit import RETENTION, codes
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


def spelled(forged: Forged, payload: bytes) -> bytes:
    """A record whose payload is exactly these bytes, signed by the deployer."""
    return seal(forged.deployer.sign(PAYLOAD_TYPE, payload))


def payload_of(forged: Forged) -> str:
    return base64.b64decode(json.loads(forged.bucket.get(record_key(5)))["payload"]).decode()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"kind":"outcome"', '"kind":"outcome","kind":"denied"'),
        ('"blue":', '"blue":null,"blue":'),
        ('"index":5', '"index": 5'),
        ('"index":5', '"index":5.0'),
        ('"index":5', '"index":5e0'),
        ('"index":5', '"index":9007199254740993'),
        ('"index":5', '"index":-0'),
        ('"green_weight":5', '"green_weight":5.00'),
        ('"green_weight":5', '"green_weight":9007199254740992'),
        ('"green_weight":5', '"green_weight":1e400'),
        ('"green_weight":5', '"green_weight":NaN'),
        ('"reason":null', '"reason":"\\ud800"'),
        ('"reason":null', '"reason":"\\u0061"'),
        ('"reason":null', '"reason":' + "[" * 5000 + "]" * 5000),
        ('"reason":null', '"reason":' + "9" * 5000),
        ("{", "\ufeff{"),
        ("}", "} "),
    ],
)
def test_a_payload_in_another_spelling_that_the_deployer_signed(forged: Forged, old: str, new: str) -> None:
    payload = payload_of(forged)
    assert old in payload
    leaf = canonical(forged.deployer.sign(PAYLOAD_TYPE, payload.replace(old, new, 1).encode()))
    replaced_record(forged, 5, leaf)
    forged.only("audit.malformed_record", index=5)
    with pytest.raises(IntegrityError) as refused:
        forged.open().read(5)
    assert refused.value.code == "audit.malformed_record"


def test_a_record_larger_than_records_may_be_that_the_deployer_signed(forged: Forged) -> None:
    payload = payload_of(forged).replace('"reason":null', '"reason":"' + "x" * 70_000 + '"', 1)
    replaced_record(forged, 5, canonical(forged.deployer.sign(PAYLOAD_TYPE, payload.encode())))
    forged.only("audit.object_too_large", index=5)
    with pytest.raises(IntegrityError) as refused:
        forged.open().read(5)
    assert refused.value.code == "audit.malformed_record"


def test_a_payload_that_is_not_utf8(forged: Forged) -> None:
    replaced_record(forged, 5, spelled(forged, payload_of(forged).encode() + b"\xff"))
    forged.only("audit.malformed_record", index=5)


@pytest.mark.parametrize(
    "index", [5.5, True, "5", "0005", None, -5, 2**53 - 1], ids=lambda value: repr(value)
)
def test_an_index_that_is_no_whole_number_from_0(forged: Forged, index: object) -> None:
    leaf = signed(forged, 5, index=index)
    replaced_record(forged, 5, leaf)
    report = forged.verify()
    assert not report.ok
    assert set(codes(report)) <= {"audit.malformed_record", "audit.wrong_index"}


def inner_nodes(forged: Forged) -> tuple[bytes, bytes]:
    """The two children of the root over the first two records."""
    first, second = (leaf_hash(forged.bucket.get(record_key(index))) for index in (0, 1))
    return first, second


def test_an_inner_node_is_no_leaf(forged: Forged) -> None:
    """Second preimage: a log of one record whose bytes are a node's would have the root of two records."""
    left, right = inner_nodes(forged)
    for bytes_ in (left + right, b"\x01" + left + right, b"\x00" + left + right):
        assert leaf_hash(bytes_) != node_hash(left, right)
        assert leaf(bytes_) == leaf_hash(bytes_)
        shorter = forged.bucket.copy()
        for key in [key for key in shorter.objects if key not in (record_key(0), head_key(2))]:
            shorter.remove(key)
        shorter.overwrite(record_key(0), bytes_)
        shorter.put_new(head_key(1), shorter.get(head_key(2)), forged.now + RETENTION)
        report = forged.verify(shorter)
        assert "audit.head_inconsistent" in codes(report)


def test_a_node_cannot_be_proven_as_a_record() -> None:
    """Nor can a record be proven one level up: the length of the path follows from index and size."""
    leaves = [leaf_hash(b"%d" % number) for number in range(4)]
    nodes = [node_hash(leaves[0], leaves[1]), node_hash(leaves[2], leaves[3])]
    root = node_hash(*nodes)
    assert root_from_path(leaves[0], 0, 4, [leaves[1], nodes[1]]) == root
    assert root_from_path(nodes[0], 0, 4, [nodes[1]]) is None
    assert root_from_path(nodes[0], 0, 2, [nodes[1]]) == root, "so the size comes from the signed head"


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x01" + b"\x11" * 64, b"\x11" * 64, b"\x11" * 32])
def test_bytes_that_could_be_taken_for_hashes_are_no_record(forged: Forged, data: bytes) -> None:
    replaced_record(forged, 5, data)
    forged.only("audit.malformed_record", index=5)
