"""A large blob in an S3 bucket: in parts, a few in flight, going on with what a killed writer sent.

Two writers of one blob send the same bytes, so they share an upload: a part that is there is taken if its
size and the service's SHA-256 of it are those of the source, and sent again otherwise. The object is made
of its parts only after the whole source has hashed to its digest, and only where there is none yet.
"""

from __future__ import annotations

import hashlib
import io
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import BinaryIO

from lockstep.errors import IntegrityError, Unavailable
from lockstep.release import bundle, layout
from lockstep.release.bundle import Blob
from lockstep.release.layout import Layout, Step
from lockstep.release.objects import NoSuchUpload, ObjectHead, Objects, Part, checksum, composite

MIB = 1 << 20
SINGLE = 8 * MIB
"""Up to here a blob is one request. Parts are this long, too, until a blob would have over MOST of them."""
MOST = 9000
IN_FLIGHT = 4
ATTEMPTS = 3


def part_size(size: int) -> int:
    """Bytes a part, a function of the blob's size alone, so that every writer cuts alike."""
    return max(SINGLE, -(-size // MOST // MIB) * MIB + MIB if size > SINGLE * MOST else 0)


def add(store: Layout, objects: Objects, key: str, blob: Blob, source: bytes | Path, step: Step) -> None:
    """Have the blob in the bucket, whole. Raises IntegrityError `release.corrupt` for another source.

    A blob that is there must have the checksum that the service would give this source; where it has another
    kind of checksum or none (somebody copied it there), it is read and hashed.
    """
    for _ in range(ATTEMPTS):
        there = objects.head(key)
        if there is not None:
            with _opened(source) as file:
                _require_same(store, blob, there, _cut(file, blob))
            return
        try:
            with _opened(source) as file:
                _upload(store, objects, key, blob, file, step)
        except NoSuchUpload:
            continue  # another writer made the object of the same parts, or took the upload for stale
        for left in objects.uploads(key):
            if left.key == key:
                objects.abort(key, left.id)
        return
    raise Unavailable(
        f"the upload of {blob.title} to {objects.where} is ended by somebody else, again and again",
        code="release.store_failed",
        remedy="see whether a lifecycle rule or another program aborts multipart uploads there",
    )


def _opened(source: bytes | Path) -> AbstractContextManager[BinaryIO]:
    return closing(io.BytesIO(source)) if isinstance(source, bytes) else closing(bundle.open_plain(source))


def _pieces(file: BinaryIO, blob: Blob) -> Iterator[tuple[int, bytes, str]]:
    """(number, bytes, checksum) of each part, from 1. Raises `release.corrupt` after the last if the whole is
    not the blob."""
    whole, size, length = hashlib.sha256(), 0, part_size(blob.size)
    number = 0
    while size <= blob.size and (data := file.read(length)):
        number += 1
        size += len(data)
        whole.update(data)
        yield number, data, checksum(data)
    layout.require_source(blob, size, whole.hexdigest())


def _cut(file: BinaryIO, blob: Blob) -> Mapping[int, Part]:
    """The parts that the service would have of this source."""
    return {number: Part("", len(data), sha256) for number, data, sha256 in _pieces(file, blob)}


def _upload(store: Layout, objects: Objects, key: str, blob: Blob, file: BinaryIO, step: Step) -> None:
    started = [upload for upload in objects.uploads(key) if upload.key == key]
    upload = started[-1].id if started else objects.begin(key)
    step(f"begun {blob.title}")
    known = objects.parts(key, upload)
    parts: dict[int, Part] = {}
    flying: deque[tuple[int, Future[Part]]] = deque()

    def land() -> None:
        number, future = flying.popleft()
        parts[number] = future.result()
        step(f"part {number} of {blob.title}")

    # The pool ends before an abort: a part that lands after it would bring half of the upload back.
    with _undone(objects, key, upload), ThreadPoolExecutor(IN_FLIGHT) as pool:
        for number, data, sha256 in _pieces(file, blob):
            held = known.get(number)
            if held is not None and (held.size, held.sha256) == (len(data), sha256):
                parts[number] = held
                continue
            if len(flying) == IN_FLIGHT:
                land()
            flying.append((number, pool.submit(objects.put_part, key, upload, number, data, sha256)))
        while flying:
            land()
    step(f"sent {blob.title}")
    objects.complete(key, upload, parts)  # False: another writer was faster; what is there is looked at now
    there = objects.head(key)
    if there is None:
        raise NoSuchUpload
    _require_same(store, blob, there, parts)
    step(f"written {blob.title}")


@contextmanager
def _undone(objects: Objects, key: str, upload: str) -> Iterator[None]:
    """No parts are kept of a source that is not the blob."""
    try:
        yield
    except IntegrityError:
        objects.abort(key, upload)
        raise


def _require_same(store: Layout, blob: Blob, there: ObjectHead, parts: Mapping[int, Part]) -> None:
    if there.size != blob.size or there.sha256 != composite(parts):
        layout.check(store, blob)
