"""What a request is put with: the resource as moto is to know it, and the way to moto."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from lockstep.standin.aws.within import first
from lockstep.standin.wire import Values

ALL_ALIKE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Ask:
    """One resource's requests.

    id, values: its identity and outputs, with moto's own identities wherever one is named. own: its outputs
    as the stand-in has them. client: a service -> boto3's client of it, in the resource's region. hold:
    judges the form of a call that moto has no answer for. names: what the stand-in calls a thing -> what moto
    calls it.
    """

    id: str
    values: Values
    own: Values
    client: Callable[[str], Any]
    hold: Callable[..., None]
    names: dict[str, str]

    def __call__(self, service: str, operation: str, **parameters: Any) -> Any:
        """The answer to one call."""
        return getattr(self.client(service), operation)(**given(parameters))

    def note(self, path: str, named: str) -> None:
        """moto calls what this property names otherwise: whoever names it from now on is understood."""
        self.names[str(first(self.own, path))] = named

    def get(self, key: str) -> Any:
        return self.values.get(key)

    def text(self, key: str) -> str | None:
        """A policy as JSON text, whether it was given as text or as an object."""
        policy = self.values.get(key)
        return policy if isinstance(policy, str) or policy is None else json.dumps(policy)

    @property
    def tags(self) -> dict[str, str] | None:
        return self.values.get("tagsAll") or None

    @property
    def tag_list(self) -> list[dict[str, str]] | None:
        return [{"Key": key, "Value": value} for key, value in (self.tags or {}).items()] or None


Request = Callable[[Ask], str | None]
"""Makes, changes or removes a resource in moto. One that makes it gives what moto calls it, and None where
that is what the stand-in calls it."""


def capital(value: Any, spelled: Mapping[str, str] = ALL_ALIKE) -> Any:
    """Names as AWS writes them, where the SDK makes their first letter small. spelled: what differs more."""
    if isinstance(value, Mapping):
        return {
            spelled.get(key, key[:1].upper() + key[1:]): capital(item, spelled) for key, item in value.items()
        }
    return [capital(item, spelled) for item in value] if isinstance(value, list) else value


def given(parameters: Mapping[str, Any]) -> Values:
    """Without what nobody has said."""
    return {key: _whole(value) for key, value in parameters.items() if value not in (None, "")}


def _whole(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _whole(item) for key, item in value.items() if item is not None}
    return [_whole(item) for item in value] if isinstance(value, list) else value
