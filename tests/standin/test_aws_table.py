"""The kept table against the SDK that is installed: no word in it is a word that the SDK does not have.

Guards against a table that is silently without effect, after an upgrade of the SDK or a slip of the pen.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator

import pytest

from lockstep.standin.aws.behaviour import TABLE, Behaviour, table
from lockstep.standin.aws.constraints import CHECKS, PATTERNS, RANGES
from lockstep.standin.aws.identity import REWORDED
from lockstep.standin.aws.sdk import Sdk
from lockstep.standin.aws.shape import ListOf, Record, Shape, problems

TYPES = sorted(table().types)
MADE = r"(hex|HEX|upper|uuid|octet)(:.*)?"


@pytest.fixture(scope="module")
def sdk() -> Sdk:
    return Sdk()


def shape_at(shape: Shape, path: str) -> Shape | None:
    """The shape that a path of the table names; None where the SDK has none."""
    for part in path.split("."):
        field = shape.fields.get(part.removesuffix("[]")) if isinstance(shape, Record) else None
        if field is None:
            return None
        shape = field.shape
        if part.endswith("[]"):
            if not isinstance(shape, ListOf):
                return None
            shape = shape.item
    return shape


def inputs_named(behaviour: Behaviour) -> Iterator[str]:
    yield from (*behaviour.replaces, *behaviour.removed)
    yield from (path for path in behaviour.checks if path)
    yield from behaviour.words
    yield from behaviour.defaults
    yield from behaviour.protected
    yield from (reference.path for reference in behaviour.references)
    yield from ([behaviour.name["property"]] if behaviour.name else [])
    yield from (behaviour.unique.split("+") if behaviour.unique else [])


@pytest.mark.parametrize("token", TYPES)
def test_every_type_and_property_is_the_sdks(token: str, sdk: Sdk) -> None:
    behaviour, signature = table().of(token), sdk.resource(token)
    unknown = [
        path
        for path in inputs_named(behaviour)
        if shape_at(signature.inputs, path) is None and shape_at(signature.outputs, path) is None
    ]
    assert unknown == []
    assert behaviour.outputs.keys() <= signature.outputs.fields.keys()
    assert bool(behaviour.arn) <= ("arn" in signature.outputs.fields or "{arn}" in behaviour.id)


@pytest.mark.parametrize("token", TYPES)
def test_what_the_table_adds_is_of_the_sdks_types(token: str, sdk: Sdk) -> None:
    """Templates are strings, so this holds for those that fill a string, and for every plain value."""
    behaviour, outputs = table().of(token), sdk.resource(token).outputs
    for key, value in {**behaviour.outputs, **behaviour.defaults}.items():
        if key in outputs.fields:
            found = list(problems(outputs.fields[key].shape, value, key))
            assert [each for each in found if "needs the property" not in each.reason] == []


@pytest.mark.parametrize("token", TYPES)
def test_every_word_of_a_template_means_something(token: str, sdk: Sdk) -> None:
    behaviour, signature = table().of(token), sdk.resource(token)
    known = {"account", "region", "partition", "id", "arn", "name"}
    paths = {reference.path for reference in behaviour.references}
    text = f"{behaviour.id} {behaviour.arn} {dict(behaviour.outputs)}"
    for word in re.findall(r"\{([^{}':]+(?::[^{}' ]+)?)\}", text):
        path, _, output = word.partition(">")
        path = path.partition(":")[0] if path.endswith(tuple(REWORDED)) else path
        assert path in known or re.fullmatch(MADE, word) or shape_at(signature.inputs, path), word
        if output:
            target = next(each.target for each in behaviour.references if each.path == path)
            assert path in paths
            assert output in sdk.resource(target).outputs.fields, word


def test_what_is_referred_to_is_in_the_table() -> None:
    targets = {reference.target for token in TYPES for reference in table().of(token).references}
    assert targets <= set(TYPES)


def test_every_check_exists() -> None:
    named = {name for token in TYPES for name in table().of(token).checks.values()}
    assert named <= {*CHECKS, *PATTERNS, *RANGES}


def test_every_fact_has_its_source() -> None:
    assert {"types", "replaces", "codes", "regions", "names"} <= table().source.keys()
    assert all(table().source.values())


def test_every_type_was_read_in_one_version_of_the_provider(sdk: Sdk) -> None:
    read = tomllib.loads(TABLE.read_text())["read"]
    elsewhere = read.pop("elsewhere")
    assert sorted(f"aws:{token}" for tokens in read.values() for token in tokens) == TYPES
    for token, *paths in map(str.split, elsewhere):
        assert f"aws:{token}" in TYPES
        assert all(shape_at(sdk.resource(f"aws:{token}").inputs, path) for path in paths), token


def test_whoever_looks_at_types_leaves_the_sdk_whole_for_others() -> None:
    """In a process of its own: what is imported here before would hide it."""
    code = (
        "from lockstep.standin.aws.sdk import Sdk\n"
        "Sdk().resource('aws:iam/role:Role')\n"
        "import pulumi_aws\n"
        "print(pulumi_aws.iam.Role.__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "Role\n", done.stderr
