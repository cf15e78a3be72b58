"""Pulumi mocks that are as strict as the plugin: what its schema does not have is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks

from lockstep.provider.kinds import KINDS
from lockstep.provider.schema import schema

RESOURCES = schema(KINDS)["resources"]
Gate = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Registered:
    """One resource as the program registered it. after: names of the resources that it waits for."""

    type: str
    name: str
    inputs: dict[str, Any]
    after: tuple[str, ...]
    provider: str
    delete_before_replace: bool


@dataclass
class StrictMocks(Mocks):
    """gate: the table as declared -> the cells that the gate gives out."""

    gate: Gate
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def call(self, args: MockCallArgs) -> Any:
        raise AssertionError(f"the program calls {args.token}; it must not ask a provider anything")

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        known = RESOURCES.get(args.typ)
        assert known is not None, f"the plugin has no resource {args.typ}"
        assert set(args.inputs) == set(known["requiredInputs"]), f"{args.name}: {sorted(args.inputs)}"
        assert args.name not in self.inputs, f"two resources are called {args.name}"
        self.inputs[args.name] = args.inputs
        return f"{args.name}-id", {**args.inputs, **self._outputs(args)}

    def _outputs(self, args: MockResourceArgs) -> dict[str, Any]:
        kind = args.typ.rsplit(":", 1)[1]
        if kind == "PromotionGate":
            return {"cells": self.gate(args.inputs["table"]), "intent": 12, "change": "step"}
        if kind == "PromotionReceipt":
            return {"outcome": 13, "head_size": 14, "head_root": "ab" * 32}
        return {"AuditBucket": {"endpoint": "http://bucket"}, "EntryPoint": {"url": "http://entry"}}.get(
            kind, {}
        )


class Recorder(MockMonitor):
    """Keeps what the engine would have been told, in the order in which it was."""

    def __init__(self, mocks: StrictMocks) -> None:
        super().__init__(mocks)
        self.registered: list[Registered] = []

    def RegisterResource(self, request: Any) -> Any:
        response = super().RegisterResource(request)
        if request.type != "pulumi:pulumi:Stack":
            mocks = self.mocks
            assert isinstance(mocks, StrictMocks)
            self.registered.append(
                Registered(
                    request.type,
                    request.name,
                    mocks.inputs[request.name],
                    tuple(sorted(urn.rsplit("::", 1)[1] for urn in request.dependencies)),
                    request.provider,
                    request.deleteBeforeReplace,
                )
            )
        return response

    def named(self, name: str) -> Registered:
        return next(each for each in self.registered if each.name == name)
