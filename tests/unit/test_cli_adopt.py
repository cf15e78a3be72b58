"""What an update of a stack in the cloud asks of the engine's state before it changes anything."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from lockstep.cli.adopt import taking_over
from lockstep.cli.context import Context
from lockstep.errors import UsageError
from tests.support import clouds

GATE = "lockstep:index:PromotionGate"


def context(**inputs: Any) -> Context:
    known = {f"{GATE}::gate": {"type": GATE, "inputs": inputs}}
    return cast(
        Context,
        SimpleNamespace(
            engine=SimpleNamespace(known=lambda: known, more={}),
            settings=clouds.stack("staging"),
            workspace=SimpleNamespace(stack="staging"),
        ),
    )


@pytest.mark.parametrize(
    ("inputs", "said", "code"),
    [
        (
            {"target": "aws", "retention_days": 100_000.0},
            "is less than the 100000 before",
            "audit.shorter_retention",
        ),
        (
            {"target": "local", "retention_days": 1},
            "runs on local, and its file says aws",
            "stack.other_target",
        ),
    ],
)
def test_what_the_state_has_is_not_taken_back(
    monkeypatch: pytest.MonkeyPatch, inputs: dict[str, Any], said: str, code: str
) -> None:
    """It lies in a bucket, where no `check` reads it."""
    monkeypatch.setattr(
        "lockstep.aws.left.left_behind", lambda *_, **__: pytest.fail("the account was asked")
    )
    with pytest.raises(UsageError, match=said) as caught:
        taking_over(context(**inputs))
    assert caught.value.code == "stack.unready"
    assert f"[{code}]" in caught.value.message
    assert "back" in caught.value.remedy and "./lockstep check" not in caught.value.remedy


def test_a_longer_promise_is_welcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lockstep.aws.left.left_behind", lambda *_, **__: None)
    known = context(target="aws", retention_days=1)
    assert taking_over(known) is known.engine
