"""A good log in a bucket that the forger has in hand, and what a forger does with it.

The forger has everything but the signing keys, unless a helper says otherwise.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from lockstep.audit import append as writing
from lockstep.audit.append import put_head, put_record
from lockstep.audit.bucket import Bucket, to_text
from lockstep.audit.layout import head_key, record_key, tile_key
from lockstep.audit.merkle import EMPTY_ROOT, Tiles, leaf_hash
from lockstep.audit.note import Head
from lockstep.audit.problem import Report
from lockstep.audit.record import PAYLOAD_TYPE, complete, draft, seal
from lockstep.canonical import canonical
from tests.support.audit import (
    ORIGIN,
    RETENTION,
    WHO,
    Writer,
    codes,
)
from tests.support.memory import MemoryBucket


class Forged(Writer):
    """A good log of six records, before the forger comes."""

    bucket: MemoryBucket

    def only(self, code: str, *, index: int | None = None, key: str | None = None, **options: Any) -> Report:
        """Verification says this one thing, names the object, and names nothing else."""
        report = self.verify(**options)
        assert not report.ok
        assert set(codes(report)) == {code}, report.problems
        if index is not None:
            assert [problem.index for problem in report.problems] == [index]
        if key is not None:
            assert [problem.key for problem in report.problems] == [key]
        return report


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def cut(forged: Forged, size: int) -> None:
    """Take away everything that was written after the log had this size."""
    keep = {record_key(i) for i in range(size)} | {head_key(i) for i in range(1, size + 1)}
    keep |= {tile_key(0, 0, width) for width in range(1, size + 1)}
    for key in list(forged.bucket.objects):
        if key not in keep:
            forged.bucket.remove(key)


def grow(bucket: Bucket, forged: Forged, size: int, root: bytes, leaf: bytes) -> bytes:
    head = Head(ORIGIN, size, (root or EMPTY_ROOT).hex())
    until = forged.now + RETENTION
    grown = writing.grow(bucket, Tiles(size, bucket.get), head, [leaf_hash(leaf)], until).root()
    put_head(bucket, size + 1, grown, forged.key, forged.log_signer.sign_bytes, until)
    return grown


def replaced_record(forged: Forged, index: int, leaf: bytes) -> None:
    """Rewrite history from an index on, as one can who also holds the log's signing key."""
    bucket = MemoryBucket()
    leaves = [forged.bucket.get(record_key(i)) for i in range(6)]
    leaves[index] = leaf
    size, root = 0, b""
    for place, one in enumerate(leaves):
        bucket.put_new(record_key(place), one, forged.now + RETENTION)
        root = grow(bucket, forged, size, root, one)
        size = place + 1
    forged.bucket.objects = bucket.objects


def signed(forged: Forged, place: int, /, **changed: Any) -> bytes:
    fields = dict(forged.log.read(place).fields) | changed
    return seal(forged.deployer.sign(PAYLOAD_TYPE, canonical(fields)))


def die_after_record(forged: Forged, index: int = 6) -> None:
    made = draft("history", claimed=WHO, history_reason="the writer dies now")
    fields = complete(
        made,
        index=index,
        origin=ORIGIN,
        time=to_text(forged.now),
        person="local-deployer",
        keyid=forged.deployer.keyid,
    )
    leaf = seal(forged.deployer.sign(PAYLOAD_TYPE, canonical(fields)))
    put_record(forged.bucket, record_key(index), leaf, forged.now + timedelta(days=1))
