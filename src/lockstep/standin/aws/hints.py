"""Python's type hints, as the SDK writes them, as shapes.

The SDK declares what a resource takes in classes marked as inputs, and what it gives in classes whose
properties are marked getters. `Input[T]` is `T`, or an awaitable or output of it: the same shape.
"""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Awaitable, Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Any

from lockstep.standin.aws.shape import (
    ANYTHING,
    BOOLEAN,
    INTEGER,
    NUMBER,
    STRING,
    Either,
    Field,
    ListOf,
    MapOf,
    OneOf,
    Record,
    Shape,
    Simple,
)

SIMPLE = {str: STRING, int: INTEGER, float: NUMBER, bool: BOOLEAN}
OPEN = ("InstancePlatform", "InstanceType", "ManagedPolicy", "ProtocolType", "Region", "Runtime")
"""Enumerations that only name the usual values: the SDK's lists of these are behind AWS's own."""


@cache
def taken(cls: type, name: str) -> Record:
    """The fields of an input class."""

    def read() -> dict[str, Field]:
        from pulumi._types import input_type_py_to_pulumi_names

        names = input_type_py_to_pulumi_names(cls)
        initial = inspect.signature(cls).parameters
        hints = hints_of(vars(cls)["__init__"], cls.__module__)
        return {
            wire: Field(shape_of(hints[given]), initial[given].default is inspect.Parameter.empty)
            for given, wire in names.items()
            if given in hints
        }

    return Record(name, read)


def needed(hint: Any, default: Any) -> bool:
    return default is inspect.Parameter.empty or (default is None and not _may_be_none(hint))


@cache
def given(cls: type) -> Record:
    """The fields of an output class."""

    def read() -> dict[str, Field]:
        fields = {}
        for member in vars(cls).values():
            wire = getattr(getattr(member, "fget", None), "_pulumi_name", None)
            if wire is None:
                continue
            hint = hints_of(member.fget, cls.__module__)["return"]
            if getattr(typing.get_origin(hint), "__name__", "") == "Output":
                hint = typing.get_args(hint)[0]
            fields[wire] = Field(shape_of(hint), not _may_be_none(hint))
        return fields

    return Record(cls.__name__, read)


def hints_of(function: Any, module: str) -> dict[str, Any]:
    """A function's type hints. `Output[T]` inside `Input` is a forward reference of Pulumi's own."""
    from pulumi import Output

    return typing.get_type_hints(function, vars(sys.modules[module]), {"Output": Output, "T": type(None)})


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _may_be_none(hint: Any) -> bool:
    return hint is type(None) or (_is_union(hint) and any(map(_may_be_none, typing.get_args(hint))))


def shape_of(hint: Any) -> Shape:
    """The shape of a type hint. What `Input` adds (an awaitable, an output) is of the same type again."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if _is_union(hint):
        return _union([each for each in arguments if not _is_wrapper(each)])
    if origin in (Sequence, list, typing.Sequence):
        return ListOf(shape_of(arguments[0]))
    if origin in (Mapping, dict, typing.Mapping):
        return MapOf(shape_of(arguments[1]))
    if hint in SIMPLE:
        return Simple(SIMPLE[hint])
    if inspect.isclass(hint) and issubclass(hint, Enum):
        return OneOf(tuple(str(member.value) for member in hint))
    if getattr(hint, "_pulumi_input_type", False):
        return taken(hint, hint.__name__.removesuffix("Args"))
    if getattr(hint, "_pulumi_output_type", False):
        return given(hint)
    return Simple(ANYTHING)


def _is_wrapper(hint: Any) -> bool:
    origin = typing.get_origin(hint)
    return hint is type(None) or origin is Awaitable or getattr(origin, "__name__", "") == "Output"


def _union(hints: Sequence[Any]) -> Shape:
    """An enumeration next to `str` is the enumeration; a dictionary type next to its class, the class."""
    closed = [each for each in hints if inspect.isclass(each) and issubclass(each, Enum)]
    if any(each.__name__ not in OPEN for each in closed):
        hints = [each for each in hints if each is not str]
    else:
        hints = [each for each in hints if each not in closed]
    taken = [each for each in hints if getattr(each, "_pulumi_input_type", False)]
    if taken:
        hints = [each for each in hints if not typing.is_typeddict(each) and not _is_output(each)]
    shapes = [shape_of(each) for each in hints]
    return shapes[0] if len(shapes) == 1 else Either(tuple(shapes))


def _is_output(hint: Any) -> bool:
    return bool(getattr(hint, "_pulumi_output_type", False))
