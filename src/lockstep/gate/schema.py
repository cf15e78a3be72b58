"""JSON Schema as far as policies/schema/ uses it (a part of draft-07), for values that go to OPA.

OPA checks the question against the same file again; this check names the fault before anything is started.
A keyword that is not known here is an error and not ignored, so a schema cannot promise what nobody checks.
Formats: https://json-schema.org/draft-07/json-schema-validation. The libraries cost 0.1 s (fastjsonschema)
to 0.5 s (jsonschema) of import, more than the whole decision; a test compares this one with OPA's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

Schema: TypeAlias = Mapping[str, Any]
Found: TypeAlias = Iterator[tuple[str, str]]

_ANNOTATIONS = {"$schema", "title", "description", "definitions"}
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def problems(value: Any, schema: Schema) -> list[str]:
    """Everything in which a JSON value does not fit the schema: `<JSON pointer>: <what is wrong>`."""
    return [f"{pointer or '/'}: {what}" for pointer, what in _check(value, schema, schema, "")]


def _check(value: Any, schema: Schema, root: Schema, at: str) -> Found:
    if "$ref" in schema:  # draft-07: its siblings do not count
        yield from _check(value, _referred(schema["$ref"], root), root, at)
        return
    for keyword, wanted in schema.items():
        if keyword in _ANNOTATIONS:
            continue
        if keyword in _WHOLE:
            if not _WHOLE[keyword](value, wanted):
                yield at, f"does not fit {keyword} {wanted!r}"
        elif keyword == "anyOf":
            if not any(next(_check(value, one, root, at), None) is None for one in wanted):
                yield at, "fits none of the forms that it may have"
        elif keyword in _PARTS:
            yield from _PARTS[keyword](value, schema, root, at)
        else:
            raise ValueError(f"this schema keyword is not supported: {keyword}")


def _referred(reference: str, root: Schema) -> Schema:
    found: Any = root
    for key in reference.removeprefix("#/").split("/"):
        found = found[key]
    return dict(found)


def _has_type(value: Any, wanted: Any) -> bool:
    for name in [wanted] if isinstance(wanted, str) else wanted:
        fits = isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))
        if fits and (name != "integer" or value == int(value)):
            return True
    return False


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_WHOLE: dict[str, Callable[[Any, Any], bool]] = {
    "type": _has_type,
    "enum": lambda value, wanted: any(value == one and type(value) is type(one) for one in wanted),
    "minimum": lambda value, wanted: not _is_number(value) or value >= wanted,
    "maximum": lambda value, wanted: not _is_number(value) or value <= wanted,
    "minLength": lambda value, wanted: not isinstance(value, str) or len(value) >= wanted,
    "minItems": lambda value, wanted: not isinstance(value, list) or len(value) >= wanted,
    "pattern": lambda value, wanted: not isinstance(value, str) or _matches(wanted, value),
}


def _matches(pattern: str, value: str) -> bool:
    # JSON Schema's `$` is the very end; Python's also stands before a last newline.
    return re.search(re.sub(r"\$$", r"\\Z", pattern), value) is not None


def _required(value: Any, schema: Schema, _: Schema, at: str) -> Found:
    if isinstance(value, dict):
        for name in schema["required"]:
            if name not in value:
                yield at, f"{name} is missing"


def _properties(value: Any, schema: Schema, root: Schema, at: str) -> Found:
    if isinstance(value, dict):
        for name, wanted in schema["properties"].items():
            if name in value:
                yield from _check(value[name], wanted, root, f"{at}/{name}")


def _others(value: Any, schema: Schema, root: Schema, at: str) -> Found:
    wanted = schema["additionalProperties"]
    if isinstance(value, dict):
        for name in value.keys() - schema.get("properties", {}).keys():
            if wanted is False:
                yield at, f"{name} is not known"
            else:
                yield from _check(value[name], wanted, root, f"{at}/{name}")


def _names(value: Any, schema: Schema, root: Schema, at: str) -> Found:
    if isinstance(value, dict):
        for name in value:
            yield from _check(name, schema["propertyNames"], root, f"{at}/{name}")


def _items(value: Any, schema: Schema, root: Schema, at: str) -> Found:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _check(item, schema["items"], root, f"{at}/{index}")


_PARTS: dict[str, Callable[[Any, Schema, Schema, str], Found]] = {
    "required": _required,
    "properties": _properties,
    "additionalProperties": _others,
    "propertyNames": _names,
    "items": _items,
}
