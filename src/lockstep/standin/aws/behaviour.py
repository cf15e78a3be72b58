"""The kept table of how AWS behaves: `behaviour.toml`, read once.

A type that is not in the table is typed by the SDK like any other; only what the table would add is
missing: identities take a plain form, only `region` and the name replace, and nothing holds it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("behaviour.toml")


@dataclass(frozen=True)
class Reference:
    """A property that names another resource.

    must_exist: refused where there is none; holds: the other cannot be deleted while this is there.
    """

    path: str
    target: str
    must_exist: bool
    holds: bool


@dataclass(frozen=True)
class Behaviour:
    """How one type behaves. Templates are filled by `identity.Identity`."""

    id: str = ""
    arn: str = ""
    everywhere: bool = False
    """Belongs to the account, not to a region."""
    name: Mapping[str, Any] = field(default_factory=dict)
    """What is named automatically: `property`; `longest`, `lower`, `before`, `changes` where they differ."""
    unique: str = ""
    """The property of which there may be one value, and the code that a second one gets."""
    exists: str = ""
    replaces: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    checks: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    references: tuple[Reference, ...] = ()
    missing: str = "ResourceNotFoundException"
    held: str = "ResourceInUseException"
    protected: Mapping[str, str] = field(default_factory=dict)
    """Properties that forbid the deletion while they are true, with the code that it gets."""


@dataclass(frozen=True)
class Table:
    source: Mapping[str, str]
    account: str
    regions: Mapping[str, int]
    """Region -> how many zones it has."""
    types: Mapping[str, Behaviour]

    def of(self, token: str) -> Behaviour:
        """The behaviour of a type, `aws:ec2/vpc:Vpc`, say."""
        return self.types.get(token) or Behaviour()


@cache
def table() -> Table:
    """The table as it is kept."""
    read = tomllib.loads(TABLE.read_text())
    return Table(
        source=read["source"],
        account=read["account"],
        regions=read["regions"],
        types={f"aws:{token}": _behaviour(entry, read["words"]) for token, entry in read["types"].items()},
    )


def _behaviour(entry: dict[str, Any], lists: Mapping[str, Any]) -> Behaviour:
    refers = entry.pop("refers", {})
    name = entry.pop("name", {})
    words = {path: tuple(lists.get(str(of), of)) for path, of in entry.pop("words", {}).items()}
    entry |= {key: tuple(entry.get(key, ())) for key in ("replaces", "removed")}
    return Behaviour(
        references=tuple(_reference(path, target) for path, target in refers.items()),
        name={"property": name} if isinstance(name, str) else name,
        words=words,
        **entry,
    )


def _reference(path: str, target: str) -> Reference:
    """`~` before a target: it may be deleted all the same; `?`: it need not be one of ours."""
    return Reference(path, "aws:" + target.lstrip("~?"), "?" not in target, "~" not in target)
