"""The engine's protocol on one side, plain values on the other; the schema against the program's classes."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
from typing import Any, ClassVar

import pulumi
import pulumi.provider.experimental.provider as api
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulumi.provider.experimental.property_value import PropertyValue

import infra.resources as resources
from lockstep.errors import LockstepError, UsageError
from lockstep.paths import Paths, here
from lockstep.provider.kind import UNKNOWN, Call, Change, Values, differing, holds_unknown
from lockstep.provider.kinds import KINDS
from lockstep.provider.plugin import LockstepProvider, plain, wrapped
from lockstep.provider.schema import schema
from lockstep.provider.session import Session

SCHEMA = schema(KINDS)["resources"]
URN = "urn:pulumi:local::lockstep::lockstep:index:Thing::one"
text = st.text(st.characters(exclude_categories=["Cs"]))
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner) | st.dictionaries(text, inner),
    max_leaves=10,
)


class Thing:
    """A kind that keeps what it was asked, and fails where told."""

    token = "lockstep:index:Thing"
    description = "for tests"
    inputs: ClassVar[dict[str, Any]] = {"size": {"type": "integer"}, "name": {"type": "string"}}
    outputs: ClassVar[dict[str, Any]] = {"where": {"type": "string"}}

    def __init__(self) -> None:
        self.asked: list[tuple[str, Call, Any]] = []
        self.problems: list[str] = []
        self.fails: Exception | None = None
        self.change = Change(False)
        self.found: Values | None = None

    def _note(self, what: str, call: Call, given: Any) -> None:
        self.asked.append((what, call, given))
        if self.fails is not None:
            raise self.fails

    def check(self, call: Call, inputs: Values) -> list[str]:
        self._note("check", call, inputs)
        return self.problems

    def changed(self, call: Call, outputs: Values, inputs: Values) -> Change:
        self._note("changed", call, (outputs, inputs))
        return self.change

    def create(self, call: Call, inputs: Values) -> tuple[str, Values]:
        self._note("create", call, inputs)
        return "the-id", {**inputs, "where": UNKNOWN if call.preview else "here"}

    def update(self, call: Call, identity: str, outputs: Values, inputs: Values) -> Values:
        self._note("update", call, (identity, outputs, inputs))
        return {**inputs, "where": "there"}

    def delete(self, call: Call, identity: str, outputs: Values) -> None:
        self._note("delete", call, (identity, outputs))

    def read(self, call: Call, identity: str, outputs: Values) -> Values | None:
        self._note("read", call, (identity, outputs))
        return self.found


@pytest.fixture
def thing() -> Thing:
    return Thing()


@pytest.fixture
def provider(thing: Thing, tmp_path: Any) -> LockstepProvider:
    return LockstepProvider([thing], Session(Paths(tmp_path, tmp_path)))


def properties(**given: Any) -> dict[str, PropertyValue]:
    return {key: wrapped(value) for key, value in given.items()}


def check(provider: LockstepProvider, given: dict[str, PropertyValue]) -> list[tuple[str, str]]:
    request = api.CheckRequest(URN, {}, given, random_seed=b"")
    answer = asyncio.run(provider.check(request))
    return [(failure.property, failure.reason) for failure in answer.failures or []]


# --- values


@given(values)
def test_values_cross_the_engine_and_come_back(value: Any) -> None:
    assert plain(wrapped(value)) == value


@given(st.integers(-(2**53), 2**53))
def test_whole_numbers_come_back_whole(value: int) -> None:
    back = plain(wrapped(value))
    assert type(back) is int
    assert back == value
    assert type(wrapped(value).value) is float  # the engine's protocol has no integers


@pytest.mark.parametrize("value", [True, False])
def test_a_boolean_is_no_number(value: bool) -> None:
    assert plain(wrapped(value)) is value
    assert plain(wrapped(1)) is not True


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        plain(PropertyValue(pulumi.StringAsset("x")))
    assert caught.value.code == "provider.type"


@pytest.mark.parametrize("value", [UNKNOWN, [1, [UNKNOWN]], {"a": {"b": [{"c": UNKNOWN}]}}])
def test_an_unknown_is_seen_however_deep(value: Any) -> None:
    assert holds_unknown(value)
    assert holds_unknown({"input": value})


def test_an_unknown_is_what_the_sdk_sends() -> None:
    from pulumi.runtime import rpc

    assert rpc.UNKNOWN == UNKNOWN
    assert not holds_unknown({"a": [1, "x", None, {}], "b": True})


def test_what_differs_is_judged_by_the_inputs_alone() -> None:
    assert differing({"a": 1, "b": 2, "more": 3}, {"a": 1, "b": 5, "c": None}) == ["b"]
    assert differing({}, {"a": 0}) == ["a"]


# --- the protocol


def test_a_failed_check_never_prints_the_value(provider: LockstepProvider, thing: Thing) -> None:
    thing.problems = ["step.size: too far"]
    assert check(provider, properties(size=1, name="x")) == [("", "step.size: too far")]


def test_inputs_that_the_schema_does_not_have_are_refused(provider: LockstepProvider, thing: Thing) -> None:
    failures = check(provider, properties(size=1, weight=80))
    assert failures == [
        ("", "lockstep:index:Thing has no input 'weight'"),
        ("", "lockstep:index:Thing needs the input 'name'"),
    ]
    assert thing.asked == []


def test_what_the_engine_adds_for_itself_is_no_input(provider: LockstepProvider, thing: Thing) -> None:
    assert check(provider, properties(size=1, name="x", __defaults=["a"])) == []
    assert thing.asked[0][2] == {"size": 1, "name": "x"}


def test_a_resource_that_is_not_there_is_refused(tmp_path: Any) -> None:
    provider = LockstepProvider([], Session(Paths(tmp_path, tmp_path)))
    with pytest.raises(UsageError) as caught:
        check(provider, {})
    assert caught.value.code == "provider.unknown_resource"


def test_a_diff_says_what_takes_a_new_resource(provider: LockstepProvider, thing: Thing) -> None:
    thing.change = Change(True, ["name"])
    same = properties(size=1, name="x")
    request = api.DiffRequest(URN, "the-id", same, same, [])
    answer = asyncio.run(provider.diff(request))
    assert answer.changes is True
    assert answer.replaces == ["name"]
    assert answer.delete_before_replace is True
    thing.change = Change(True)
    assert asyncio.run(provider.diff(request)).delete_before_replace is False


def create(provider: LockstepProvider, *, preview: bool) -> api.CreateResponse:
    request = api.CreateRequest(URN, properties(size=2, name="x"), 0.0, preview)
    return asyncio.run(provider.create(request))


def test_create_gives_the_id_only_when_it_is_real(provider: LockstepProvider, thing: Thing) -> None:
    made = create(provider, preview=False)
    assert made.resource_id == "the-id"
    assert {key: plain(value) for key, value in (made.properties or {}).items()} == {
        "size": 2,
        "name": "x",
        "where": "here",
    }
    assert create(provider, preview=True).resource_id == ""
    assert [call.preview for _, call, _ in thing.asked] == [False, True]


def test_a_call_knows_its_stack_and_name(provider: LockstepProvider, thing: Thing) -> None:
    create(provider, preview=False)
    call = thing.asked[0][1]
    assert (call.stack, call.name) == ("local", "one")


def test_a_resource_beneath_a_component_is_of_the_same_kind(provider: LockstepProvider, thing: Thing) -> None:
    beneath = URN.replace("::lockstep:index:", "::lockstep:infra:Region$lockstep:index:")
    assert beneath != URN
    properties_ = properties(size=1, name="x")
    asyncio.run(provider.check(api.CheckRequest(beneath, {}, properties_, random_seed=b"")))
    assert thing.asked


def test_an_error_reaches_the_user_without_a_traceback(provider: LockstepProvider, thing: Thing) -> None:
    thing.fails = LockstepError("it broke", code="a.b", remedy="mend it")
    with pytest.raises(Exception, match=r"^it broke \[a.b\]\n  next: mend it$") as caught:
        create(provider, preview=False)
    assert caught.value.__cause__ is None
    assert repr(type(caught.value)) == "failure"  # what grpc shows of it to the user


def test_update_delete_and_read_get_what_they_were_given(provider: LockstepProvider, thing: Thing) -> None:
    old, new = properties(size=1, name="x", where="here"), properties(size=2, name="x")
    asyncio.run(provider.update(api.UpdateRequest(URN, "the-id", old, new, 0.0, [], False)))
    asyncio.run(provider.delete(api.DeleteRequest(URN, "the-id", old, 0.0)))
    assert thing.asked[0][2] == (
        "the-id",
        {"size": 1, "name": "x", "where": "here"},
        {"size": 2, "name": "x"},
    )
    assert thing.asked[1][2] == ("the-id", {"size": 1, "name": "x", "where": "here"})


def test_read_gives_inputs_back_or_says_that_it_is_gone(provider: LockstepProvider, thing: Thing) -> None:
    request = api.ReadRequest(URN, "the-id", properties(size=1, name="x", where="here"), {})
    assert asyncio.run(provider.read(request)).resource_id == ""
    thing.found = {"size": 3, "name": "x", "where": "there"}
    answer = asyncio.run(provider.read(request))
    assert answer.resource_id == "the-id"
    assert {key: plain(value) for key, value in answer.inputs.items()} == {"size": 3, "name": "x"}


def test_the_engine_gets_a_schema_that_is_json() -> None:
    provider = LockstepProvider(KINDS, Session(here()))
    answer = asyncio.run(provider.get_schema(api.GetSchemaRequest(0, None, None)))
    document = json.loads(answer.schema or "")
    assert document["name"] == "lockstep"
    assert len(document["resources"]) == len(KINDS) == 9


# --- the schema and infra/resources.py


CLASSES = {
    f"lockstep:index:{each.kind}": each
    for each in vars(resources).values()
    if inspect.isclass(each) and issubclass(each, resources._Resource) and each is not resources._Resource
}


def test_program_and_plugin_have_the_same_resources() -> None:
    assert set(CLASSES) == set(SCHEMA)


@pytest.mark.parametrize("token", sorted(SCHEMA))
def test_a_class_takes_exactly_the_inputs_of_the_schema(token: str) -> None:
    taken = set(inspect.signature(CLASSES[token].__init__).parameters) - {"self", "name", "opts"}
    assert taken == set(SCHEMA[token]["inputProperties"]) == set(SCHEMA[token]["requiredInputs"])


@pytest.mark.parametrize("token", sorted(SCHEMA))
def test_a_class_gives_exactly_the_outputs_of_the_schema(token: str) -> None:
    declared = CLASSES[token]
    more = set(SCHEMA[token]["properties"]) - set(SCHEMA[token]["inputProperties"])
    assert set(declared.more_outputs) == more
    readable = {name for name in vars(declared).get("__annotations__", {}) if name != "kind"}
    assert more <= readable <= set(SCHEMA[token]["properties"])  # inputs can be read back, too


@pytest.mark.parametrize("token", sorted(SCHEMA))
def test_every_property_says_its_type(token: str) -> None:
    for name, said in SCHEMA[token]["properties"].items():
        assert said.get("type") in ("string", "integer", "boolean", "array") or "$ref" in said, name
    assert SCHEMA[token]["description"].endswith(".")


def test_the_classes_type_their_inputs_as_the_schema_does() -> None:
    words = {"string": "str", "integer": "int", "boolean": "bool", "array": "list[str]"}
    for token, declared in CLASSES.items():
        for name, parameter in inspect.signature(declared.__init__).parameters.items():
            said = SCHEMA[token]["inputProperties"].get(name)
            if said is None or "$ref" in said:
                continue
            annotation = str(parameter.annotation).removeprefix("pulumi.Input[").removesuffix("]")
            expected = words[said["type"]]
            assert ast.unparse(ast.parse(annotation + ("]" if "[" in annotation else ""))) == expected, name
