"""What a kind of resource must be able to do, in plain Python values.

`plugin.py` speaks the engine's protocol and calls these; a kind knows nothing of it. Values are JSON:
numbers arrive as int where they are whole. UNKNOWN stands for what a preview cannot know.

- check: problems with the inputs, each a line for the user; empty if fine. Writes nothing.
- changed: whether the world differs from the inputs; a diff on equal inputs may still say yes
- create / update: make it so and return the outputs; in a preview only the outputs
- delete: gets the outputs alone, so outputs repeat whatever delete needs
- read: the outputs as the world has them; None if it does not exist
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeAlias

from lockstep.provider.session import Session

Values: TypeAlias = dict[str, Any]

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""How an unknown crosses pulumi.provider.experimental 3.259.0; equals pulumi.runtime.rpc.UNKNOWN."""


@dataclass(frozen=True)
class Call:
    """One call of the engine about one resource."""

    session: Session
    urn: str
    preview: bool = False

    @property
    def stack(self) -> str:
        return self.urn.split("::")[0].removeprefix("urn:pulumi:")

    @property
    def name(self) -> str:
        return self.urn.rsplit("::", 1)[1]


@dataclass(frozen=True)
class Change:
    """changed: something is to be done; replaces: the inputs for which it takes a new resource."""

    changed: bool
    replaces: list[str] = field(default_factory=list)


class Kind(Protocol):
    token: str
    description: str
    inputs: ClassVar[dict[str, Any]]
    outputs: ClassVar[dict[str, Any]]

    def check(self, call: Call, inputs: Values) -> list[str]: ...

    def changed(self, call: Call, outputs: Values, inputs: Values) -> Change: ...

    def create(self, call: Call, inputs: Values) -> tuple[str, Values]: ...

    def update(self, call: Call, identity: str, outputs: Values, inputs: Values) -> Values: ...

    def delete(self, call: Call, identity: str, outputs: Values) -> None: ...

    def read(self, call: Call, identity: str, outputs: Values) -> Values | None: ...


def holds_unknown(value: Any) -> bool:
    if isinstance(value, dict):
        return any(holds_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(holds_unknown(item) for item in value)
    return bool(value == UNKNOWN)


def differing(outputs: Values, inputs: Values) -> list[str]:
    """The inputs whose value is not what the outputs repeat."""
    return [key for key, value in inputs.items() if outputs.get(key) != value]
