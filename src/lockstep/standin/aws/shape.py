"""What a property may be, and what is wrong with a value.

A shape is read from the SDK's type information (`sdk`). `problems` looks through a value of any depth and
names each place with its path, what stands there, and what is allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any, TypeAlias

from lockstep.standin.provider import Failure
from lockstep.standin.wire import UNKNOWN

STRING, NUMBER, INTEGER, BOOLEAN, ANYTHING = "string", "number", "integer", "boolean", "anything"
SHOWN = 60  # characters of a value in a message
MANY = 12  # names that are listed in full


@dataclass(frozen=True)
class Simple:
    kind: str

    def __str__(self) -> str:
        return self.kind


@dataclass(frozen=True)
class OneOf:
    """A string out of a list."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        return "one of " + ", ".join(self.words)


@dataclass(frozen=True)
class ListOf:
    item: Shape

    def __str__(self) -> str:
        return f"a list of {self.item}"


@dataclass(frozen=True)
class MapOf:
    item: Shape

    def __str__(self) -> str:
        return f"a map of {self.item}"


@dataclass(frozen=True)
class Either:
    """Any one of several, an identity or a policy document as JSON or as an object, say."""

    shapes: tuple[Shape, ...]

    def __str__(self) -> str:
        return " or ".join(str(shape) for shape in self.shapes)


@dataclass(frozen=True)
class Field:
    shape: Shape
    required: bool


class Record:
    """An object with named fields. They are read when first asked for: types may contain themselves."""

    def __init__(self, name: str, read: Callable[[], Mapping[str, Field]]) -> None:
        self.name = name
        self._read = read

    @cached_property
    def fields(self) -> Mapping[str, Field]:
        return self._read()

    def __str__(self) -> str:
        return f"an object ({self.name})"


Shape: TypeAlias = Simple | OneOf | ListOf | MapOf | Either | Record


def problems(shape: Shape, value: Any, path: str = "") -> Iterator[Failure]:
    """Everything in `value` that `shape` does not allow. What is unknown is allowed everywhere."""
    if value is UNKNOWN:
        return
    if isinstance(shape, Either):
        yield from _either(shape, value, path)
    elif isinstance(shape, Record) and isinstance(value, dict):
        yield from _record(shape, value, path)
    elif isinstance(shape, ListOf) and isinstance(value, list):
        for index, item in enumerate(value):
            yield from problems(shape.item, item, f"{path}[{index}]")
    elif isinstance(shape, MapOf) and isinstance(value, dict):
        for key in sorted(value):
            yield from problems(shape.item, value[key], joined(path, key))
    elif isinstance(shape, OneOf) and isinstance(value, str):
        if value not in shape.words:
            hint = _hint(value, shape.words)
            yield Failure(path, f"{path} is {value!r}, which must be {_shortened(shape.words)}{hint}")
    elif not (isinstance(shape, Simple) and is_a(shape.kind, value)):
        yield Failure(path, f"{path} must be {_allowed(shape)}, and is {described(value)}")


def is_a(kind: str, value: Any) -> bool:
    """Whether a value is of a simple kind. No value is taken for another kind: "5" is no number."""
    if kind == ANYTHING:
        return True
    if isinstance(value, bool):
        return kind == BOOLEAN
    if kind == INTEGER:
        return isinstance(value, int)
    if kind == NUMBER:
        return isinstance(value, int | float)
    return kind == STRING and isinstance(value, str)


def described(value: Any) -> str:
    """A value's kind and its beginning."""
    kinds = {bool: BOOLEAN, int: NUMBER, float: NUMBER, str: STRING, list: "list", dict: "object"}
    text = repr(value)
    return f"the {kinds.get(type(value), 'null')} {text if len(text) <= SHOWN else text[:SHOWN] + '…'}"


def joined(path: str, key: str) -> str:
    """The path of a field, as the engine writes it."""
    if not key.isidentifier():
        return f'{path}["{key}"]'
    return f"{path}.{key}" if path else key


def _either(shape: Either, value: Any, path: str) -> Iterator[Failure]:
    tried = [list(problems(each, value, path)) for each in shape.shapes]
    if all(tried):
        # An object is meant to be the object: what is wrong inside says more than "no string".
        inside = [found for found in tried if found[0].path != path]
        yield from (
            inside[0]
            if inside
            else [Failure(path, f"{path} must be {_allowed(shape)}, and is {described(value)}")]
        )


def _record(shape: Record, value: dict[str, Any], path: str) -> Iterator[Failure]:
    where = path or shape.name
    for key in sorted(value):
        if key not in shape.fields:
            what = f"{where} has no property {key!r}, given as {described(value[key])}"
            known = f"; it has {_shortened(sorted(shape.fields))}"
            yield Failure(joined(path, key), what + (_hint(key, shape.fields) or known))
        elif value[key] is not None:
            yield from problems(shape.fields[key].shape, value[key], joined(path, key))
    for key, field in shape.fields.items():
        if field.required and value.get(key) is None:
            yield Failure(joined(path, key), f"{where} needs the property {key!r}, {_allowed(field.shape)}")


def _allowed(shape: Shape) -> str:
    if isinstance(shape, Simple):
        return f"{'an' if shape.kind in (INTEGER, ANYTHING) else 'a'} {shape}"
    return _shortened(shape.words) if isinstance(shape, OneOf) else str(shape)


def _shortened(words: Any) -> str:
    listed = list(words)
    more = f" and {len(listed) - MANY} more" if len(listed) > MANY else ""
    return ", ".join(listed[:MANY]) + more


def _hint(word: str, words: Any) -> str:
    close = get_close_matches(word, list(words), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
