"""What a stand-in provider answers, in plain values: the seam between a provider and the protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lockstep.standin.wire import Values

DEFAULTS = "__defaults"
"""The key under which inputs say which of them the provider has made up, names above all."""


@dataclass(frozen=True)
class Call:
    """Which resource a call is about. token: its type; preview: nothing may be done."""

    urn: str
    token: str
    name: str
    preview: bool = False


@dataclass(frozen=True)
class State:
    """A resource as the engine remembers it."""

    inputs: Values = field(default_factory=dict)
    outputs: Values = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """A property that cannot be accepted. path: as the engine writes it, `ingress[0].fromPort`; empty
    where it is about the whole resource. The reason names it too: it is all that the user sees."""

    path: str
    reason: str


@dataclass(frozen=True)
class Checked:
    """The inputs, with defaults filled in, or what is wrong with them."""

    inputs: Values
    failures: Sequence[Failure] = ()


@dataclass(frozen=True)
class Change:
    """paths: what differs -> whether that needs a new resource."""

    paths: Mapping[str, bool] = field(default_factory=dict)
    delete_before_replace: bool = False

    @property
    def replaces(self) -> list[str]:
        return [path for path, replaces in self.paths.items() if replaces]


@dataclass(frozen=True)
class Found:
    """A resource that Read has found."""

    identity: str
    state: State


class StandIn(Protocol):
    """One provider. Every method may be called from several threads at once.

    Errors: raise LockstepError; its message, code and next step are what the user reads.
    """

    name: str
    version: str
    """The SDK's, and `+standin`: the engine warns of a plugin that is older than the SDK."""

    def check_config(self, config: Values) -> list[Failure] | Checked:
        """What is wrong with the provider's own settings. Values may be unknown; with one that is, the engine
        asks nothing about any resource, so a provider that wants to be asked returns other settings."""

    def configure(self, config: Values) -> None:
        """Take the settings. Called once, before any resource; not at all while they are unknown."""

    def check(self, call: Call, old: Values, new: Values) -> Checked:
        """Fill in defaults and refuse what the real provider would. old: the inputs before, or empty."""

    def diff(self, call: Call, identity: str, old: State, new: Values) -> Change:
        """What an update to these inputs changes."""

    def create(self, call: Call, inputs: Values) -> tuple[str, Values]:
        """Identity and outputs. In a preview the identity is ignored and what is not known is UNKNOWN."""

    def update(self, call: Call, identity: str, old: State, inputs: Values) -> Values:
        """The outputs after the update."""

    def delete(self, call: Call, identity: str, old: State) -> None: ...

    def read(self, call: Call, identity: str, old: State) -> Found | None:
        """What is there; None if it is gone. `old` is empty in an import."""

    def invoke(self, token: str, arguments: Values, *, preview: bool) -> Values | list[Failure]:
        """Call a function of the provider."""
