"""Canonical JSON (RFC 8785) and strict JSON reading: one value, one sequence of bytes, one digest."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import rfc8785

from lockstep.errors import IntegrityError


def canonical(value: Any) -> bytes:
    """The RFC 8785 bytes of a JSON value.

    Raises IntegrityError `json.uncanonical` for what has no canonical form: NaN and infinities,
    integers beyond 2**53, lone surrogates, keys that are not strings.
    """
    try:
        return bytes(rfc8785.dumps(value))
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise IntegrityError(f"no canonical form: {error}", code="json.uncanonical") from None


def digest(data: bytes) -> str:
    """`sha256:<64 hex>` of the bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_of(value: Any) -> str:
    """`sha256:<64 hex>` of the value's canonical form."""
    return digest(canonical(value))


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise IntegrityError(f"duplicate key {key!r}", code="json.duplicate_key")
        result[key] = value
    return result


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise IntegrityError(f"number {text} is out of range", code="json.number")
    return number


def _refuse_constant(text: str) -> Any:
    raise IntegrityError(f"{text} is not JSON", code="json.number")


def parse(data: bytes) -> Any:
    """Read JSON strictly: UTF-8, no duplicate keys, no NaN or infinity. Raises IntegrityError `json.*`."""
    try:
        return json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_no_duplicates,
            parse_float=_finite,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError) as error:  # bad UTF-8, bad JSON, or an integer of thousands of digits
        raise IntegrityError(f"not JSON: {error}", code="json.malformed") from None


def parse_canonical(data: bytes) -> Any:
    """Read JSON and refuse bytes that are not the canonical form of what they say."""
    value = parse(data)
    if canonical(value) != data:
        raise IntegrityError("JSON is not in canonical form (RFC 8785)", code="json.uncanonical")
    return value
