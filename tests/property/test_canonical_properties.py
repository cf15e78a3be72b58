"""Canonical JSON against an oracle written from RFC 8785 itself, and strict reading."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lockstep.canonical import canonical, digest, digest_of, parse, parse_canonical
from lockstep.errors import IntegrityError

SAFE = 2**53 - 1
text = st.text(st.characters(exclude_categories=["Cs"]))
floats = st.floats(allow_nan=False, allow_infinity=False)
numbers = st.integers(-SAFE, SAFE) | floats


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=12)


# A whole float from 2**53 to 10**21 would be written without a point and read back as an integer that
# JSON readers do not agree on: it has no canonical form.
values = nested(st.none() | st.booleans() | text | numbers.filter(lambda n: abs(n) <= SAFE or abs(n) >= 1e21))


def number(value: float) -> str:
    """ECMAScript's Number::toString, by its own steps (RFC 8785 section 3.2.2.3)."""
    if value == 0:
        return "0"
    if value < 0:
        return "-" + number(-value)
    _, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    s = "".join(map(str, digits))
    k, n = len(s), len(s) + exponent
    if k <= n <= 21:
        return s + "0" * (n - k)
    if 0 < n <= 21:
        return f"{s[:n]}.{s[n:]}"
    if -6 < n <= 0:
        return "0." + "0" * -n + s
    mantissa = s if k == 1 else f"{s[0]}.{s[1:]}"
    return f"{mantissa}e{'+' if n > 0 else '-'}{abs(n - 1)}"


def oracle(value: Any) -> str:
    if isinstance(value, dict):
        ordered = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{oracle(key)}:{oracle(value[key])}" for key in ordered) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(oracle, value)) + "]"
    if isinstance(value, float):
        return number(value)
    return json.dumps(value, ensure_ascii=False)


@given(values)
@example({"€": 1, "\r": 2, "דּ": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "ö": 7})  # RFC 8785, 3.2.3
@example({"\ufb33": 1, "\U0001f600": 2})
@example([0.5, -0.5, 1.5, 1e-4, -1e-4, 9.9e-5, 1e-5, -1e-5, 4503599627370495.5, 2.0])
@example([333333333.33333329, 1e30, 4.50, 2e-3, 1e-27, -0.0, 5e-324, 1e21, 1e-7])
def test_canonical_bytes_are_those_of_the_rfc(value: Any) -> None:
    assert canonical(value).decode() == oracle(value)


@given(values)
def test_what_is_written_reads_back_as_the_same_value(value: Any) -> None:
    data = canonical(value)
    assert parse(data) == value
    assert parse_canonical(data) == value
    assert canonical(parse(data)) == data
    assert digest_of(value) == digest(data)


@given(values, st.integers(1, 4))
def test_any_other_spelling_of_a_value_is_not_canonical(value: Any, indent: int) -> None:
    spaced = json.dumps(value, indent=indent, ensure_ascii=False).encode() + b"\n"
    assert parse(spaced) == value
    with pytest.raises(IntegrityError) as caught:
        parse_canonical(spaced)
    assert caught.value.code == "json.uncanonical"


@given(values, st.floats(2**53, 1e21, exclude_max=True).map(math.floor).map(float))
def test_a_number_that_would_read_back_as_another_is_refused(value: Any, number: float) -> None:
    for one in (number, -number, int(number)):
        with pytest.raises(IntegrityError) as caught:
            canonical({"a": [value, one]})
        assert caught.value.code == "json.uncanonical"


@given(st.binary(max_size=40))
@example(b"1" * 5000)
@example(b"[" * 100_000)
@example(b"-")
@example(b"\xff")
@example(b'"\\ud800"')
@example(b"1e999")
def test_bytes_are_read_or_refused_and_never_anything_else(data: bytes) -> None:
    try:
        value = parse(data)
        assert not (isinstance(value, float) and not math.isfinite(value))
        canonical(value)
    except IntegrityError as refused:
        assert refused.code.startswith("json.")
