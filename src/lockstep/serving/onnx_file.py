"""Is this model one that computes and nothing else, before ONNX Runtime reads it?

A tensor may name a file as its data, or an address in memory; which of these a version of ONNX Runtime
follows has changed more than once, and the release's lock file decides the version. So the protobuf is
walked here, with the standard library (the onnx package is not part of a serving environment), down every
path on which a tensor or a node can stand:

    (1) it parses to its last byte, and not too deep;
    (2) no tensor keeps its data outside;
    (3) every node is of the standard domain: no custom operator, no function of the model's own.

Field numbers: onnx.proto3 of ONNX 1.17. Wire format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from lockstep.errors import IntegrityError

MAX_DEPTH = 32
STANDARD = frozenset({b"", b"ai.onnx"})

_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 8: "opset", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
    "opset": {},
}
"""Message -> field -> message in it. What cannot hold a tensor or a node is not looked into."""
_DOMAIN = {"node": 7, "opset": 1}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14

Value: TypeAlias = int | bytes


def check(data: bytes) -> None:
    """Raises IntegrityError `serving.bad_model`."""
    if not any(number == 7 for number, _ in _fields(data)):
        raise _bad("it has no graph")
    _message(data, "model", 0)


def _bad(why: str) -> IntegrityError:
    return IntegrityError(
        f"model.onnx is not accepted: {why}",
        code="serving.bad_model",
        remedy="export the model in one file, with standard operators only, and build the release again",
    )


def _message(data: bytes, kind: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _bad(f"its graphs are more than {MAX_DEPTH} deep")  # (1)
    if kind in ("function", "training"):
        raise _bad(f"it brings a {kind} of its own")  # (3)
    for number, value in _fields(data):
        if kind == "tensor" and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0)):
            raise _bad("a tensor keeps its data in another file")  # (2)
        if number == _DOMAIN.get(kind) and value not in STANDARD:
            raise _bad(f"it uses the operators of {value!r}")  # (3)
        inside = _INSIDE[kind].get(number)
        if inside is not None:
            if not isinstance(value, bytes):
                raise _bad("it is malformed")
            _message(value, inside, depth + 1)


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """The fields of one protobuf message: number, and the bytes or the integer in it."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _varint(data, place)
            yield number, value
            continue
        if wire == 2:
            size, place = _varint(data, place)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:  # groups are of another age, and no ONNX message has one
            raise _bad("it is malformed")
        if place + size > len(data):
            raise _bad("it is cut short")
        yield number, data[place : place + size]
        place += size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise _bad("it is cut short")
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place += 1
        if byte < 0x80:
            return value, place
    raise _bad("it is malformed")
