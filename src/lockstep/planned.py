"""What a preview declares, for people: as a tree, and as what one stack has otherwise than another. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

STACK = "pulumi:pulumi:Stack"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""The engine's word for a value that a preview cannot know."""
WIDEST = 60


class Resource(Protocol):
    @property
    def type(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def urn(self) -> str: ...
    @property
    def parent(self) -> str: ...
    @property
    def inputs(self) -> Mapping[str, Any]: ...


def short_type(token: str) -> str:
    """`aws:ec2/vpc:Vpc` as `aws:ec2:Vpc`: a module's file says nothing that the class does not."""
    package, module, name = token.split(":", 2)
    return ":".join((package, module.split("/")[0], name))


def tree(resources: Sequence[Resource]) -> list[str]:
    """One line a resource, children under their parent, by type and name: the engine's own order is another
    one each time."""
    known = {resource.urn for resource in resources if resource.type != STACK}
    below: dict[str, list[Resource]] = {}
    for resource in resources:
        if resource.type != STACK:
            below.setdefault(resource.parent if resource.parent in known else "", []).append(resource)
    return list(_lines(below, "", ""))


def _lines(below: Mapping[str, Sequence[Resource]], parent: str, indent: str) -> Iterator[str]:
    children = sorted(below.get(parent, ()), key=lambda child: (short_type(child.type), child.name))
    for number, child in enumerate(children, 1):
        last = number == len(children)
        yield f"{indent}{'└─' if last else '├─'} {short_type(child.type)}  {child.name}"
        yield from _lines(below, child.urn, indent + ("   " if last else "│  "))


@dataclass(frozen=True)
class Difference:
    """What one stack has otherwise. path: of the property; empty where only one has the resource, and then
    ours and theirs say which."""

    type: str
    name: str
    path: str
    ours: Any
    theirs: Any


def differences(
    ours: Sequence[Resource], theirs: Sequence[Resource], environments: tuple[str, str]
) -> list[Difference]:
    """What `ours` has otherwise than `theirs`, resource by resource and property by property.

    environments: their names, which are part of every physical name and therefore no difference; nor is a
    name that a provider has made up, nor what the engine needs for itself.
    """
    left, right = (
        {(each.type, each.name): each for each in one if not each.type.startswith("pulumi:")}
        for one in (ours, theirs)
    )
    found: list[Difference] = []
    for key in dict.fromkeys([*left, *right]):
        here, there = left.get(key), right.get(key)
        if here is None or there is None:
            found.append(Difference(*key, "", here is not None, there is not None))
            continue
        mine, other = _flat(here.inputs), _flat(there.inputs)
        for path in dict.fromkeys([*mine, *other]):
            value, against = mine.get(path), other.get(path)
            if _neutral(value, environments[0]) != _neutral(against, environments[1]):
                found.append(Difference(*key, path, value, against))
    return found


def difference_lines(found: Sequence[Difference], names: tuple[str, str]) -> list[str]:
    """One line for each property of each type, with how many resources have it otherwise."""
    alike: dict[tuple[str, str], list[Difference]] = {}
    for each in found:
        alike.setdefault((each.type, each.path or str(each.ours)), []).append(each)
    return sorted(_line(group, names) for group in alike.values())


def _line(group: Sequence[Difference], names: tuple[str, str]) -> str:
    first = group[0]
    what = short_type(first.type) + (f" x {len(group)}" if len(group) > 1 else "")
    if not first.path:
        return f"{what}: only in {names[0] if first.ours else names[1]}"
    pairs = sorted({(_shown(each.ours), _shown(each.theirs)) for each in group})
    ours, theirs = pairs[0]
    more = f", and {len(pairs) - 1} more such pairs" if len(pairs) > 1 else ""
    return f"{what} {first.path}: {ours} in {names[0]}, {theirs} in {names[1]}{more}"


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    value = _read(value)
    if isinstance(value, Mapping) and value:
        made_up = value.get("__defaults") or ()
        return {
            key: leaf
            for name, item in value.items()
            if not str(name).startswith("__") and name not in made_up
            for key, leaf in _flat(item, f"{path}.{name}" if path else str(name)).items()
        }
    if isinstance(value, list) and value:
        return {
            key: leaf
            for index, item in enumerate(value)
            for key, leaf in _flat(item, f"{path}[{index}]").items()
        }
    return {path: value}


def _read(value: Any) -> Any:
    """A document that is written as text, such as a policy, as what it says: its first line tells nothing."""
    if not isinstance(value, str) or not value.startswith(("{", "[")):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _neutral(value: Any, environment: str) -> Any:
    """A text without its environment's name."""
    return re.sub(rf"\b{re.escape(environment)}\b", "*", value) if isinstance(value, str) else value


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if value == UNKNOWN:
        return "not known yet"
    text = str(value)
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"
