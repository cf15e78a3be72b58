"""A stand-in for AWS with an account of its own, and what a test says to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lockstep.standin.aws.plugin import AwsStandIn
from lockstep.standin.provider import Call, Change, Failure, State
from lockstep.standin.wire import Values

REGION = "eu-central-1"


@dataclass
class Made:
    """A resource that a test has made."""

    call: Call
    id: str
    state: State

    @property
    def outputs(self) -> Values:
        return self.state.outputs


@dataclass
class Aws:
    """The provider as the engine uses it: Check, then Create, Update or Delete."""

    provider: AwsStandIn
    folder: Path
    made: list[Made] = field(default_factory=list)

    def call(self, token: str, name: str = "one", *, preview: bool = False) -> Call:
        token = f"aws:{token}"
        return Call(f"urn:pulumi:test::lockstep::{token}::{name}", token, name, preview)

    def failures(self, token: str, inputs: Values) -> list[Failure]:
        return list(self.provider.check(self.call(token), {}, inputs).failures)

    def reasons(self, token: str, inputs: Values) -> str:
        return "\n".join(failure.reason for failure in self.failures(token, inputs))

    def create(self, token: str, inputs: Values, name: str = "one") -> Made:
        call = self.call(token, name)
        checked = self.provider.check(call, {}, inputs)
        assert not checked.failures, checked.failures
        identity, outputs = self.provider.create(call, checked.inputs)
        return Made(call, identity, State(checked.inputs, outputs))

    def previewed(self, token: str, inputs: Values) -> Values:
        call = self.call(token, preview=True)
        checked = self.provider.check(call, {}, inputs)
        assert not checked.failures, checked.failures
        return self.provider.create(call, checked.inputs)[1]

    def diff(self, made: Made, inputs: Values) -> Change:
        checked = self.provider.check(made.call, made.state.inputs, inputs)
        assert not checked.failures, checked.failures
        return self.provider.diff(made.call, made.id, made.state, checked.inputs)

    def update(self, made: Made, inputs: Values) -> Made:
        checked = self.provider.check(made.call, made.state.inputs, inputs)
        assert not checked.failures, checked.failures
        outputs = self.provider.update(made.call, made.id, made.state, checked.inputs)
        return Made(made.call, made.id, State(checked.inputs, outputs))

    def delete(self, made: Made) -> None:
        self.provider.delete(made.call, made.id, made.state)

    def read(self, made: Made) -> Any:
        return self.provider.read(made.call, made.id, made.state)

    def faults(self, **faults: Any) -> None:
        (self.folder / "faults.json").write_text(json.dumps(faults))


@pytest.fixture
def aws_in(tmp_path: Path) -> Callable[[str], Aws]:
    def make(region: str) -> Aws:
        provider = AwsStandIn(tmp_path)
        provider.configure({"region": region, "defaultTags": '{"tags":{"owner":"test"}}'})
        return Aws(provider, tmp_path)

    return make


@pytest.fixture
def aws(aws_in: Callable[[str], Aws]) -> Aws:
    return aws_in(REGION)
