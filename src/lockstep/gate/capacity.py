"""What the policies say of a stack's GPU nodes: one question, one short run of OPA, nothing left running.

These rules judge a plan before anything is asked for, and no promotion: they are read from the checkout, as
is the program that asks, and are part of no bundle.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lockstep import canonical
from lockstep.errors import IntegrityError, Unavailable, Violation
from lockstep.gate.bundle import CAPACITY, CAPACITY_SCHEMA

ANSWER_S = 20.0
QUERY = "data.lockstep.capacity.refusals"
_PARTS = {"code", "message", "remedy"}


def refusals(
    question: Mapping[str, Any], policies_dir: Path, opa_binary: Path, answer_s: float = ANSWER_S
) -> list[Violation]:
    """Every pair of settings that cannot work, by code; empty only where the policies said so.

    question: as policies/schema/capacity.json says. Raises Unavailable `capacity.unjudged` when OPA is not
    there, is slow, or says anything but a list of refusals: no answer is never a consent.
    """
    command = [str(opa_binary), "eval", "--format", "raw", "--strict-builtin-errors", "--stdin-input"]
    command += ["--data", str(policies_dir / CAPACITY)]
    command += ["--data", f"settings.capacity_schema:{policies_dir / CAPACITY_SCHEMA}", QUERY]
    try:
        done = subprocess.run(
            command, input=canonical.canonical(question), env={}, capture_output=True, timeout=answer_s
        )
    except subprocess.TimeoutExpired:
        raise _unjudged("OPA did not answer in time") from None
    except OSError as error:
        raise _unjudged(f"OPA cannot be started: {error.strerror} ({opa_binary})") from None
    if done.returncode != 0:
        said = (done.stderr + done.stdout)[-2000:].decode("utf-8", "replace").strip()
        raise _unjudged(f"OPA failed: {said.replace(str(policies_dir), 'policies')}")
    return _read(done.stdout)


def _read(answer: bytes) -> list[Violation]:
    """The refusals in OPA's answer, which is empty where the value is undefined."""
    try:
        said = canonical.parse(answer)
    except IntegrityError:
        said = None
    if not isinstance(said, list):
        raise _unjudged("OPA's answer is no list of refusals")
    for each in said:
        if not isinstance(each, dict) or set(each) != _PARTS or not all(map(_is_text, each.values())):
            raise _unjudged("OPA's answer has a refusal without code, message and remedy")
    return sorted((Violation(**each) for each in said), key=lambda each: (each.code, each.message))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _unjudged(why: str) -> Unavailable:
    return Unavailable(
        f"nobody could say whether the GPU nodes can run the models: {why}",
        code="capacity.unjudged",
        remedy="./lockstep doctor says which outside program is missing; `./lockstep up` gets it",
    )
