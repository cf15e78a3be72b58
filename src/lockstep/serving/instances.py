"""A batch body to one array, within limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lockstep.serving.limits import LIMITS, Limits
from lockstep.serving.refusal import Refused


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a key that is there twice another reader, such as the client's own, may see the other value."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def parse(
    body: bytes, from_rows: Callable[[object], NDArray[np.float32]], limits: Limits = LIMITS
) -> NDArray[np.float32]:
    """`{"instances": [...]}` as float32 [N, *shape], N from 1 to `limits.instances`.

    from_rows: the release's own check and conversion of one instance; its ValueError is a refusal.
    Raises Refused (400): `serving.bad_json`, `serving.bad_instances`, `serving.too_many_instances`.
    """
    if body.count(b"[") + body.count(b"{") > limits.json_lists:
        # Each takes 30 times its bytes once read.
        raise Refused(
            f"the body is not JSON, or has over {limits.json_lists} lists",
            code="serving.bad_json",
            status=400,
        )
    try:
        document = json.loads(
            body.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_no_duplicates
        )
    except (ValueError, RecursionError):
        raise Refused("the body is not JSON", code="serving.bad_json", status=400) from None
    if not isinstance(document, dict) or set(document) != {"instances"}:
        raise _bad('the body must be {"instances": [...]} and nothing else')
    rows = document["instances"]
    if not isinstance(rows, list) or not rows:
        raise _bad("instances must be a list with at least one array")
    if len(rows) > limits.instances:
        raise Refused(
            f"{len(rows)} instances in one request; the limit is {limits.instances}",
            code="serving.too_many_instances",
            status=400,
        )
    # No string can stand in a good body except the key, so these can only be values. numpy would take
    # true for a 1 that stands among other numbers.
    if b"true" in body or b"false" in body or b"null" in body:
        raise _bad("the instances must hold numbers, all of one shape")
    try:
        array = np.asarray(rows)
    except (ValueError, TypeError, OverflowError):
        raise _bad("the instances do not all have the same shape") from None
    # Strings, booleans and nulls become arrays too, and "1" would then pass for a number.
    if array.dtype.kind not in "iuf":
        raise _bad("the instances must hold numbers, all of one shape")
    try:
        return np.stack([from_rows(row) for row in array])
    except ValueError as error:
        raise _bad(str(error)) from None


def _bad(message: str) -> Refused:
    return Refused(message, code="serving.bad_instances", status=400)
