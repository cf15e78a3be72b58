"""Every field of the question, as the schema names it: missing, of each wrong type, with company, or null.

The cases are made from policies/schema/input.json and from questions that are allowed as they are, so that
a new field is tried without a line here. Each must be refused three times over: before it is sent, by the
policies if it is sent all the same, and in a way that names it as the fault of whoever asked.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, TypeAlias

import pytest

from lockstep.canonical import parse
from lockstep.errors import IntegrityError, Unavailable
from lockstep.gate.decision import decide
from lockstep.gate.facts import checked
from lockstep.gate.opa import Opa, private_opa
from lockstep.gate.schema import compiled
from tests.support import gate_inputs, opa
from tests.support.gate_inputs import CANDIDATE, NOW, STANDING, THIRD, cell, place

SCHEMA = parse((opa.POLICIES / "schema" / "input.json").read_bytes())
SAMPLES: dict[str, Any] = {
    "null": None,
    "boolean": True,
    "integer": 12,
    "number": 0.5,
    "string": "12",
    "array": [],
    "object": {},
}
Path: TypeAlias = tuple[Any, ...]
Case: TypeAlias = tuple[str, Path, Any]
"""what was done, where, and the whole question after it"""


def questions() -> dict[str, dict[str, Any]]:
    """Allowed questions; together they have every field of the schema with a value."""
    back = {"digest": CANDIDATE, "target": {"digits": {"local-a": cell(STANDING, CANDIDATE, 0)}}}
    full, resting = cell(STANDING, CANDIDATE, 100), cell(STANDING, CANDIDATE, 0)
    marks = [{"model": "digits", "region": "local-a", "digest": CANDIDATE}]
    return {
        "a step": gate_inputs.step(5, 25, barred=[THIRD], reasons={"/x": "because"}),
        "an open intent": gate_inputs.question(
            [
                place("local-a", resting, cell(STANDING, CANDIDATE, 5))
                | {"intent": {"from": resting, "to": cell(STANDING, CANDIDATE, 5)}}
            ]
        ),
        "a rollback": gate_inputs.question(
            [place("local-a", full, resting, standing=CANDIDATE, former=STANDING)], rollback=back
        ),
        "a probation": gate_inputs.question(
            [place("local-a", full, full, at_full_since="2026-11-21T09:00:00.000000Z")],
            kind="stand",
            marks=marks,
        ),
        "a withdrawal": gate_inputs.question([place("local-a", resting, {"withdraw": STANDING})]),
    }


@lru_cache
def _form(schema: str) -> Callable[[Any], list[str]]:
    return compiled({**json.loads(schema), "definitions": SCHEMA["definitions"]})


def resolved(schema: Any, value: Any) -> Any:
    """The schema without references and choices: of several forms, the one that the value has."""
    if "$ref" in schema:
        target: Any = SCHEMA
        for key in schema["$ref"].removeprefix("#/").split("/"):
            target = target[key]
        return resolved(target, value)
    for form in schema.get("anyOf", []):
        if not _form(json.dumps(form))(value):
            return resolved(form, value)
    return schema


def accepted(schema: Any) -> set[str]:
    """The JSON types that a schema takes; a number is one that is no integer."""
    if "$ref" in schema:
        target: Any = SCHEMA
        for key in schema["$ref"].removeprefix("#/").split("/"):
            target = target[key]
        return accepted(target)
    if "anyOf" in schema:
        return {kind for form in schema["anyOf"] for kind in accepted(form)}
    kinds = schema["type"]
    names = {kinds} if isinstance(kinds, str) else set(kinds)
    return names | {"integer"} if "number" in names else names


def fields(value: Any, schema: Any, at: Path = ()) -> Iterator[tuple[Path, Any, Any]]:
    """Every place in a value, with its schema as written and as resolved for this value."""
    exact = resolved(schema, value)
    yield at, schema, exact
    if isinstance(value, dict):
        for name, each in value.items():
            inner = exact.get("properties", {}).get(name) or exact.get("additionalProperties")
            yield from fields(each, inner, (*at, name))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from fields(each, exact["items"], (*at, index))


def changed(question: Any, at: Path, value: Any = None, *, remove: bool = False) -> Any:
    if not at:
        return value
    result = copy.deepcopy(question)
    target = result
    for key in at[:-1]:
        target = target[key]
    if remove:
        del target[at[-1]]
    else:
        target[at[-1]] = value
    return result


def cases(question: dict[str, Any]) -> Iterator[Case]:
    for at, schema, exact in fields(question, SCHEMA):
        for kind in sorted(SAMPLES.keys() - accepted(schema)):
            yield f"is of type {kind}", at, changed(question, at, SAMPLES[kind])
        for name in exact.get("required", []):
            yield f"lacks {name}", at, changed(question, (*at, name), remove=True)
        if exact.get("additionalProperties") is False:
            yield "has company", at, changed(question, (*at, "extra"), True)


@pytest.fixture(scope="module")
def running() -> Iterator[Opa]:
    with private_opa(opa.POLICIES, "local", opa.binary(), deadline_s=600) as started:
        yield started


FAULT = {"gate.input_invalid", "gate.opa_status"}
"""How a question that does not fit is refused: by name, or, where it makes a built-in fail, by no answer."""


def refused_by(running: Opa, question: Any) -> set[str]:
    """The codes with which a question is refused when it is sent all the same."""
    try:
        answer = running.query(question, "decision")
    except Unavailable as error:
        return {error.code}
    assert answer["allow"] is False
    return {one["code"] for one in answer["violations"]}


def test_each_field_missing_mistyped_or_in_company_is_refused(running: Opa) -> None:
    tried: set[tuple[str, Path]] = set()
    for name, question in questions().items():
        question |= {"bundle": {"revision": running.revision}}
        assert decide(checked(question), opa=running).allow, name
        for what, at, bad in cases(question):
            if (what, at) not in tried:
                where = f"{name}: /{'/'.join(str(key) for key in at)} {what}"
                with pytest.raises(IntegrityError) as refused:
                    checked(bad)
                assert refused.value.code == "gate.facts", where
                assert refused_by(running, bad) & FAULT, where
                tried.add((what, at))
    assert len(tried) > 700


def test_every_field_of_the_schema_is_tried() -> None:
    named = {id(field) for field in _properties(SCHEMA)}
    seen = set()
    for question in questions().values():
        for at, schema, exact in fields(question, SCHEMA):
            if at and (question_at(question, at) is not None or "null" not in accepted(schema)):
                seen |= {id(schema), id(exact)}
    assert named <= seen


def _properties(schema: Any) -> Iterator[Any]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {}).values() if "type" in schema else ()
        for value in schema.values():
            yield from _properties(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _properties(value)


def question_at(question: Any, at: Path) -> Any:
    for key in at:
        question = question[key]
    return question


def test_a_number_in_a_string_is_no_number(running: Opa) -> None:
    """For Rego every string is larger than every number: "12" passes any floor."""
    tried = set()
    for name, question in questions().items():
        question |= {"bundle": {"revision": running.revision}}
        for at, schema, _ in fields(question, SCHEMA):
            if accepted(schema) & {"integer", "number"}:
                for text in (str(question_at(question, at)), "12", "1e3", ""):
                    assert refused_by(running, changed(question, at, text)) & FAULT, (name, at, text)
                tried.add(at[-1])
    assert tried == {"version", "size", "green_weight", "accuracy", "images", "0", "1"}


@pytest.mark.parametrize("now", [None, 5, True, [], {}, "", "yesterday", "2026-11-21", NOW[:-1], NOW + "Z"])
def test_a_time_that_is_none_is_named_as_such(running: Opa, now: Any) -> None:
    question = questions()["a step"] | {"bundle": {"revision": running.revision}, "now": now}
    assert "gate.input_invalid" in refused_by(running, question)


@pytest.mark.parametrize("written", [100, 100.0, 1e2])
def test_a_weight_is_the_same_however_it_is_written(running: Opa, written: float) -> None:
    question = gate_inputs.step(-0.0, 5) | {"bundle": {"revision": running.revision}}
    plain = gate_inputs.step(0, 5) | {"bundle": {"revision": running.revision}}
    question["cells"][0]["base"], plain["cells"][0]["base"] = None, None
    assert decide(question, opa=running).input_digest == decide(plain, opa=running).input_digest
    full = gate_inputs.step(50, written) | {"bundle": {"revision": running.revision}}
    decision = decide(checked(full), opa=running)
    assert decision.allow
    as_integer = gate_inputs.step(50, 100) | {"bundle": {"revision": running.revision}}
    assert decision.input_digest == decide(as_integer, opa=running).input_digest


def test_a_null_without_a_reason_is_still_a_null(running: Opa) -> None:
    """A fact that is not known denies, whether or not somebody said why."""
    question = gate_inputs.step(5, 25) | {"bundle": {"revision": running.revision}}
    for fact, code in (("exists", "exists"), ("verified", "verified"), ("evaluation", "evaluation")):
        unknown = changed(question, ("releases", CANDIDATE, fact))
        area = "evidence" if fact == "evaluation" else "release"
        for reasons in ({}, {f"/releases/{CANDIDATE}/{fact}": "the store does not answer"}):
            assert f"{area}.{code}" in refused_by(running, unknown | {"reasons": reasons})
