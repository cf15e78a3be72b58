"""Is this file what a safetensors file may be, before a library reads it? Reads the header alone.

Format: 8 bytes little-endian length of the header, the header (JSON: name -> dtype, shape, data_offsets),
then the tensors' bytes. https://github.com/huggingface/safetensors#format

    (1) the header is short, whole and strict JSON: no key twice, because two readers see two tensors then;
    (2) every tensor has a known type of number, and as many bytes as its shape needs;
    (3) the tensors cover the rest of the file from end to end: none overlap, nothing hides between or after.

A pickle or a zip (what torch.save writes) fails at (1), whatever it is called.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, BinaryIO

from lockstep.errors import IntegrityError
from lockstep.release.bundle import open_plain

MAX_HEADER = 1 << 20
SIZES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1,
    "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}  # fmt: skip


def check(path: Path) -> None:
    """Raises IntegrityError `serving.bad_weights`."""
    with open_plain(path) as file:
        check_open(file, path.name)


def check_open(file: BinaryIO, name: str) -> None:
    """The same for what is open or in memory. name: what it is called in the error."""
    size = file.seek(0, 2)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or not 2 <= length <= min(MAX_HEADER, size - 8):
        raise _bad(name, f"a header of {length} bytes in a file of {size}")
    header = file.read(length)
    tensors = _tensors(name, header)  # (1)
    end = 0
    for begin, until, tensor in sorted(_span(name, each, stated) for each, stated in tensors.items()):  # (2)
        if begin != end:
            raise _bad(name, f"{tensor} overlaps another tensor, or leaves a gap")  # (3)
        end = until
    if end != size - 8 - length:
        raise _bad(name, f"its tensors end at {end} of {size - 8 - length} bytes")


def _bad(name: str, why: str) -> IntegrityError:
    return IntegrityError(
        f"{name} is not a well-formed safetensors file: {why}",
        code="serving.bad_weights",
        remedy="build the release again; weights in pickle or zip are never loaded",
    )


def _tensors(name: str, header: bytes) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a name is there twice")
        return found

    try:
        value = json.loads(header.decode("utf-8"), object_pairs_hook=once)
    except (ValueError, RecursionError):
        raise _bad(name, "its header is not strict JSON") from None
    if not isinstance(value, dict):
        raise _bad(name, "its header is no table")
    notes = value.pop("__metadata__", {})
    if not isinstance(notes, dict) or not all(isinstance(note, str) for note in notes.values()):
        raise _bad(name, "its metadata are not texts")
    return value


def _span(file: str, name: str, stated: object) -> tuple[int, int, str]:
    """(first byte, byte after the last, name) of a tensor."""
    if not isinstance(stated, dict) or set(stated) != {"dtype", "shape", "data_offsets"}:
        raise _bad(file, f"{name!r} does not state dtype, shape and data_offsets")
    shape, offsets, dtype = stated["shape"], stated["data_offsets"], stated["dtype"]
    if not (_counts(shape) and _counts(offsets) and len(offsets) == 2 and isinstance(dtype, str)):
        raise _bad(file, f"{name!r} has a shape or place that is no list of counts")
    if dtype not in SIZES:
        raise _bad(file, f"{name!r} is of the unknown type {dtype!r}")
    if offsets[1] - offsets[0] != math.prod(shape) * SIZES[dtype]:
        raise _bad(file, f"{name!r} has other bytes than its shape needs")
    return offsets[0], offsets[1], name


def _counts(value: object) -> bool:
    return (
        isinstance(value, list) and len(value) <= 64 and all(type(n) is int and 0 <= n < 2**48 for n in value)
    )
