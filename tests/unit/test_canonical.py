"""What strict JSON reading refuses, by its code; and values that have no canonical form."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep.canonical import canonical, digest, parse, parse_canonical
from lockstep.errors import IntegrityError


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'{"a":1,"a":1}', "json.duplicate_key"),
        (b'[{"x":{"a":1,"b":2,"a":3}}]', "json.duplicate_key"),
        (b"NaN", "json.number"),
        (b"-Infinity", "json.number"),
        (b'{"a":1e400}', "json.number"),
        (b"", "json.malformed"),
        (b"{} {}", "json.malformed"),
        (b'{"a":1,}', "json.malformed"),
        (b'"\xc3\x28"', "json.malformed"),
        (b"\xef\xbb\xbf{}", "json.malformed"),
        (b"[" * 200_000, "json.malformed"),
        (b'"\\ud800"', "json.malformed"),
        (b'{"\\uDFFF":1}', "json.malformed"),
        (b'["\\ude00\\ud83d"]', "json.malformed"),
    ],
)
def test_what_is_not_strict_json_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        parse(data)
    assert caught.value.code == code
    assert caught.value.remedy


@pytest.mark.parametrize(
    "data", [b'{"b":1,"a":2}', b"1.0", b"1e2", b'"\\u0061"', b" 1", b'{"a": 1}', b"-0", b'"\\/"']
)
def test_json_in_another_spelling_is_not_canonical(data: bytes) -> None:
    parse(data)
    with pytest.raises(IntegrityError) as caught:
        parse_canonical(data)
    assert caught.value.code == "json.uncanonical"


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        2**53,
        2.0**53,
        -1e20,
        -(2**53),
        "\ud800",
        {"\udfff": 1},
        {1: 2},
        {None: 1},
        b"x",
        {1, 2},
    ],
)
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(IntegrityError) as caught:
        canonical({"deep": [value]})
    assert caught.value.code == "json.uncanonical"
    assert "2**53" in caught.value.remedy


@pytest.mark.parametrize("data", [b"9007199254740992", b"-9007199254740993", b"1" + b"0" * 400])
def test_an_integer_past_2_to_the_53_is_not_canonical(data: bytes) -> None:
    with pytest.raises(IntegrityError) as caught:
        parse_canonical(data)
    assert caught.value.code == "json.uncanonical"


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert parse(b'"\\ud83d\\ude00"') == "\U0001f600"


def test_a_digest_is_the_sha256_of_the_bytes() -> None:
    assert digest(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
