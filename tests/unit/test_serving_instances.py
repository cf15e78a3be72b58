"""Batch bodies: one shape, finite numbers in range, and not too many."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lockstep.serving.instances import parse
from lockstep.serving.limits import Limits
from lockstep.serving.refusal import Refused
from models.digits.preprocess import from_rows

EIGHT = np.linspace(0, 1, 64).reshape(8, 8).tolist()


def instances(body: bytes) -> NDArray[np.float32]:
    return parse(body, from_rows, Limits(instances=4))


def refused(body: bytes) -> str:
    with pytest.raises(Refused) as caught:
        instances(body)
    assert caught.value.status == 400
    return caught.value.code


def test_good_instances_become_one_array() -> None:
    array = instances(json.dumps({"instances": [EIGHT] * 3}).encode())
    assert array.shape == (3, 1, 8, 8) and array.dtype == np.float32
    assert np.allclose(array[2, 0], EIGHT)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b"NaN",
        b'{"instances": [[NaN]]}',
        b'{"instances": [[-Infinity]]}',
        b'{"instances": [' + b"9" * 1_000_000 + b"]}",
        b'{"instances": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a": ' * 100_000,
        json.dumps({"instances": [EIGHT]}).encode("utf-16"),
        b"\xef\xbb\xbf" + json.dumps({"instances": [EIGHT]}).encode(),
        b'{"instances": [[1]], "instances": [[0]]}',
        b'{"instances": [{"a": 1, "a": 2}]}',
    ],
    ids=lambda body: repr(body)[:40],
)
def test_not_json(body: bytes) -> None:
    assert refused(body) == "serving.bad_json"


def changed(value: Any) -> list[Any]:
    return [[[*EIGHT[0][:-1], value], *EIGHT[1:]]]


@pytest.mark.parametrize(
    "rows",
    [
        [],
        {},
        None,
        "x",
        [1],
        [[]],
        [EIGHT[:7]],
        [EIGHT, EIGHT[:7]],
        [[EIGHT, EIGHT]],
        changed(-0.1),
        changed(1.1),
        changed(1e999),
        changed("1"),
        changed(None),
        changed([]),
        changed(10**400),
        [np.ones((8, 8), dtype=bool).tolist()],
        changed(True),  # numpy would take it for 1.0
        changed("\ud800"),
        [EIGHT, 1],
        [[[[[[[[]]]]]]]],
        [[0.5] * 60_000],
        [[[]] * 60_000],
    ],
    ids=lambda value: repr(value)[:40],
)
def test_bad_instances(rows: Any) -> None:
    body = json.dumps({"instances": rows}).replace("Infinity", "1e999")
    assert refused(body.encode()) == "serving.bad_instances"


@pytest.mark.parametrize(
    "document",
    [[], 3, {}, {"instances": [EIGHT], "more": 1}, {"rows": [EIGHT]}, {"\ud800": [EIGHT]}],
    ids=repr,
)
def test_another_document(document: Any) -> None:
    assert refused(json.dumps(document).encode()) == "serving.bad_instances"


def test_a_number_of_a_million_digits_is_read_or_refused() -> None:
    row = [b"0." + b"3" * 1_000_000, *[b"0.5"] * 7]
    body = b'{"instances": [[[' + b",".join(row) + b"]" + b",[0,0,0,0,0,0,0,0]" * 7 + b"]]}"
    assert instances(body)[0, 0, 0, 0] == pytest.approx(1 / 3)


def test_more_lists_than_any_batch_has_are_not_even_read() -> None:
    assert refused(b'{"instances": [[' + b"[]," * 70_000 + b"[]]]}") == "serving.bad_json"
    assert refused(b'{"instances": [[' + b"[]," * 60_000 + b"[]]]}") == "serving.bad_instances"


def test_too_many() -> None:
    assert len(instances(json.dumps({"instances": [EIGHT] * 4}).encode())) == 4
    assert refused(json.dumps({"instances": [EIGHT] * 5}).encode()) == "serving.too_many_instances"
