"""Places in nested values: `vpcConfig.subnetIds[]` names each item of that list, wherever it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from lockstep.standin.aws.shape import joined


def places(value: Any, path: str, at: str = "") -> Iterator[tuple[str, Any]]:
    """(path as the engine writes it, value) of each place that `path` names; none where there is none.

    An empty path names the whole.
    """
    if not path:
        yield at, value
        return
    head, _, rest = path.partition(".")
    name = head.removesuffix("[]")
    if not isinstance(value, Mapping) or value.get(name) is None:
        return
    found, where = value[name], joined(at, name)
    if not head.endswith("[]"):
        yield from places(found, rest, where)
    elif isinstance(found, list):
        for index, item in enumerate(found):
            yield from places(item, rest, f"{where}[{index}]")
    else:
        yield where, found  # a list that is not known yet


def first(value: Any, path: str) -> Any:
    """The first value that `path` names; None where there is none."""
    return next((found for _, found in places(value, path)), None)


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Each path at which two values differ, as deep as both are objects or lists of one length."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            yield from differences(old.get(key), new.get(key), joined(path, key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from differences(before, after, f"{path}[{index}]")
    elif old is not new and old != new:
        yield path


def concerns(path: str, rule: str) -> bool:
    """Whether a change at `path` changes what `rule` names: the place itself, or what it lies in or holds."""
    plain = re.sub(r"\[[^\]]*\]", "", path)
    return f"{plain}.".startswith(f"{rule}.") or f"{rule}.".startswith(f"{plain}.")


def merged(under: Any, over: Any) -> Any:
    """Two values as one: `over` wins, objects are merged."""
    if isinstance(under, Mapping) and isinstance(over, Mapping):
        return {**under, **{key: merged(under.get(key), item) for key, item in over.items()}}
    return under if over is None else over
