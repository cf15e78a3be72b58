"""Canonical JSON (RFC 8785) and strict JSON reading: one value, one sequence of bytes, one digest."""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import Any

import rfc8785

from lockstep.errors import IntegrityError

_PLAIN = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
"""What the standard library writes in C, a third of the time: canonical where `_is_plain` says so."""
_LONG = re.compile(rb"[0-9]{16}")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_FOREIGN = "get the file again from where it was made; do not mend it by hand, its digest would not fit"
_OWN = "use whole numbers below 2**53, finite numbers, and text without lone surrogates"


def _refused(message: str, code: str, remedy: str = _FOREIGN) -> IntegrityError:
    return IntegrityError(message, code=f"json.{code}", remedy=remedy)


def canonical(value: Any) -> bytes:
    """The RFC 8785 bytes of a JSON value.

    Raises IntegrityError `json.uncanonical` for what has no canonical form: NaN and infinities,
    integers beyond 2**53, floats that would be written as such integers, lone surrogates, keys that are
    not strings.
    """
    try:
        if _is_plain(value):
            return _PLAIN.encode(value).encode()
        data = bytes(rfc8785.dumps(value))
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as error:
        raise _refused(f"no canonical form: {error}", "uncanonical", _OWN) from None
    if _LONG.search(data) and _holds_large_float(value):
        raise _refused("no canonical form: a whole number past 2**53", "uncanonical", _OWN)
    return data


def _is_plain(value: Any) -> bool:
    """Whether the standard library writes this as RFC 8785 has it.

    It sorts keys by code point, which is the same as long as they are ASCII; takes keys that are no text; and
    writes whole and small floats otherwise (`1.0`, `1e-05`). The characters that it escapes are the same.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return bool(-(2**53) < value < 2**53)
    if kind is float:
        return bool(abs(value) >= 1e-4 and value % 1 > 0)
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str or not key.isascii() or not _is_plain(item):
                return False
        return True
    return kind is list and all(map(_is_plain, value))


def _holds_large_float(value: Any) -> bool:
    """Whether a float would be written as an integer that not every reader reads back as the same."""
    if isinstance(value, float):
        return 2**53 <= abs(value) < 1e21
    if isinstance(value, dict):
        return any(map(_holds_large_float, value.values()))
    return isinstance(value, list | tuple) and any(map(_holds_large_float, value))


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
            raise _refused(f"duplicate key {key!r}", "duplicate_key")
        result[key] = value
    return result


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _refused(f"number {text[:40]} is out of range", "number")
    return number


def _refuse_constant(text: str) -> Any:
    raise _refused(f"{text} is not JSON", "number")


def parse(data: bytes) -> Any:
    """Read JSON strictly: UTF-8, no duplicate keys, no NaN or infinity, no half of a surrogate pair.

    Raises IntegrityError `json.*`.
    """
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_no_duplicates,
            parse_float=_finite,
            parse_constant=_refuse_constant,
        )
        if _SURROGATE.search(data):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise _refused("not JSON: a lone surrogate is no text", "malformed") from None
    except (ValueError, RecursionError) as error:  # bad UTF-8, bad JSON, or an integer of thousands of digits
        raise _refused(f"not JSON: {error}", "malformed") from None
    return value


def parse_canonical(data: bytes) -> Any:
    """Read JSON and refuse bytes that are not the canonical form of what they say."""
    value = parse(data)
    if canonical(value) != data:
        raise _refused("JSON is not in canonical form (RFC 8785)", "uncanonical")
    return value
