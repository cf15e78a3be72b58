"""JSON Schema as far as policies/schema/ uses it (a part of draft-07), for values that go to OPA.

OPA checks the question against the same file again; this check names the fault before anything is started.
A keyword that is not known here is an error and not ignored, so a schema cannot promise what nobody checks.
Formats: https://json-schema.org/draft-07/json-schema-validation. The libraries cost 0.1 s (fastjsonschema)
to 0.5 s (jsonschema) of import, more than the whole decision; a test compares this one with OPA's own.
A schema is turned into functions once, because walking it anew for each question costs half as much as
OPA's whole answer (benchmarks/gate.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Schema: TypeAlias = Mapping[str, Any]
Check: TypeAlias = Callable[[Any, str, list[str]], None]
"""check(value, JSON pointer of it, problems found so far)"""

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
    return compiled(schema)(value)


def compiled(schema: Schema) -> Callable[[Any], list[str]]:
    """`problems` for one schema, for many values. Raises ValueError for a keyword that is not known."""
    check = _Compiler(schema).check(schema)

    def problems_of(value: Any) -> list[str]:
        found: list[str] = []
        check(value, "", found)
        return found

    return problems_of


class _Compiler:
    def __init__(self, root: Schema) -> None:
        self._root = root
        self._referred: dict[str, Check] = {}

    def check(self, schema: Schema) -> Check:
        if "$ref" in schema:  # draft-07: its siblings do not count
            return self._reference(schema["$ref"])
        checks = [self._keyword(name, schema) for name in schema if name not in _ANNOTATIONS]

        def all_of_them(value: Any, at: str, found: list[str]) -> None:
            for check in checks:
                check(value, at, found)

        return checks[0] if len(checks) == 1 else all_of_them

    def _reference(self, reference: str) -> Check:
        if reference not in self._referred:
            target: Any = self._root
            for key in reference.removeprefix("#/").split("/"):
                target = target[key]
            self._referred[reference] = self.check(target)
        return self._referred[reference]

    def _keyword(self, name: str, schema: Schema) -> Check:
        wanted = schema[name]
        if name in _WHOLE:
            return _whole(name, wanted)
        if name == "anyOf":
            return _any_of([self.check(one) for one in wanted])
        if name == "required":
            return _required(wanted)
        if name == "properties":
            return _properties({each: self.check(one) for each, one in wanted.items()})
        if name == "additionalProperties":
            known = frozenset(schema.get("properties", {}))
            return _others(known, None if wanted is False else self.check(wanted))
        if name == "propertyNames":
            return _names(self.check(wanted))
        if name == "items":
            return _items(self.check(wanted))
        raise ValueError(f"this schema keyword is not supported: {name}")


# --- keywords about a value as a whole


def _typed(wanted: Any) -> Callable[[Any], bool]:
    names = [wanted] if isinstance(wanted, str) else wanted
    kinds = tuple(kind for name in names if name != "integer" for kind in _TYPES[name])
    exact = frozenset(kinds)
    boolean, integer = "boolean" in names, "integer" in names

    def fits(value: Any) -> bool:
        if type(value) in exact:
            return True
        if isinstance(value, bool):
            return boolean
        if isinstance(value, kinds):
            return True
        return integer and isinstance(value, int | float) and value % 1 == 0

    return fits


def _pattern(wanted: str) -> Callable[[Any], bool]:
    # JSON Schema's `$` is the very end; Python's also stands before a last newline.
    search = re.compile(re.sub(r"\$$", r"\\Z", wanted)).search
    return lambda value: not isinstance(value, str) or search(value) is not None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_WHOLE: dict[str, Callable[[Any], Callable[[Any], bool]]] = {
    "type": _typed,
    "enum": lambda wanted: lambda value: any(value == one and type(value) is type(one) for one in wanted),
    "minimum": lambda wanted: lambda value: not _is_number(value) or value >= wanted,
    "maximum": lambda wanted: lambda value: not _is_number(value) or value <= wanted,
    "minLength": lambda wanted: lambda value: not isinstance(value, str) or len(value) >= wanted,
    "minItems": lambda wanted: lambda value: not isinstance(value, list) or len(value) >= wanted,
    "pattern": _pattern,
}


def _whole(name: str, wanted: Any) -> Check:
    fits = _WHOLE[name](wanted)

    def check(value: Any, at: str, found: list[str]) -> None:
        if not fits(value):
            found.append(f"{at or '/'}: does not fit {name} {wanted!r}")

    return check


# --- keywords about the parts of a value


def _any_of(forms: list[Check]) -> Check:
    def check(value: Any, at: str, found: list[str]) -> None:
        for form in forms:
            faults: list[str] = []
            form(value, at, faults)
            if not faults:
                return
        found.append(f"{at or '/'}: fits none of the forms that it may have")

    return check


def _required(names: list[str]) -> Check:
    def check(value: Any, at: str, found: list[str]) -> None:
        if isinstance(value, dict):
            found += [f"{at or '/'}: {name} is missing" for name in names if name not in value]

    return check


def _properties(checks: dict[str, Check]) -> Check:
    def check(value: Any, at: str, found: list[str]) -> None:
        if isinstance(value, dict):
            for name, inner in checks.items():
                if name in value:
                    inner(value[name], f"{at}/{name}", found)

    return check


def _others(known: frozenset[str], inner: Check | None) -> Check:
    def check(value: Any, at: str, found: list[str]) -> None:
        if isinstance(value, dict):
            for name in value.keys() - known:
                if inner is None:
                    found.append(f"{at or '/'}: {name} is not known")
                else:
                    inner(value[name], f"{at}/{name}", found)

    return check


def _names(inner: Check) -> Check:
    def check(value: Any, at: str, found: list[str]) -> None:
        if isinstance(value, dict):
            for name in value:
                inner(name, f"{at}/{name}", found)

    return check


def _items(inner: Check) -> Check:
    def check(value: Any, at: str, found: list[str]) -> None:
        if isinstance(value, list):
            for index, item in enumerate(value):
                inner(item, f"{at}/{index}", found)

    return check
