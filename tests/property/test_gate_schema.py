"""Our reading of the schema against OPA's own, on good questions and on thousands of damaged ones."""

from __future__ import annotations

import copy
import json
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockstep.canonical import parse
from lockstep.gate.schema import compiled, problems
from tests.support import gate_inputs, opa

SCHEMA = parse((opa.POLICIES / "schema" / "input.json").read_bytes())
ENVIRONMENT = parse((opa.POLICIES / "schema" / "environment.json").read_bytes())
BY_SCHEMA = compiled(SCHEMA)
STRANGE: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    0.5,
    101,
    1e9,
    "",
    "x",
    "12",
    [],
    {},
    [None],
    {"x": 1},
    gate_inputs.STANDING,
    gate_inputs.STANDING + "\n",
]


def places_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield from places_in(child, (*path, key))


def damaged(value: Any, seed: random.Random) -> Any:
    """The value with one thing removed, replaced or added somewhere."""
    result = copy.deepcopy(value)
    *path, last = seed.choice(list(places_in(result)))
    target = result
    for key in path:
        target = target[key]
    kind = seed.choice(["remove", "replace", "add"])
    if kind == "remove":
        del target[last]
    elif kind == "replace" or not isinstance(target, dict):
        target[last] = seed.choice(STRANGE)
    else:
        target["extra"] = seed.choice(STRANGE)
    return result


def full_question() -> dict[str, Any]:
    question = gate_inputs.step(5, 25)
    question["rollback"] = {
        "digest": gate_inputs.CANDIDATE,
        "target": {"digits": {"local-a": {"withdraw": gate_inputs.STANDING}}},
    }
    question["marks"] = [{"model": "digits", "region": "local-a", "digest": gate_inputs.CANDIDATE}]
    question["barred"] = [gate_inputs.THIRD]
    question["cells"][0]["intent"] = {"from": None, "to": {"withdraw": gate_inputs.STANDING}}
    question["cells"][0]["at_full_since"] = gate_inputs.NOW
    question["reasons"] = {"/x": "because"}
    return question


def opa_says(values: list[Any], schema: Any, folder: Path) -> list[bool]:
    (folder / "m.rego").write_text(
        "package m\n\n"
        "answers := [fits | some value in input.values; [fits, _] = json.match_schema(value, input.schema)]\n"
    )
    done = subprocess.run(
        [
            str(opa.binary()),
            "eval",
            "--format",
            "raw",
            "--stdin-input",
            "--data",
            str(folder / "m.rego"),
            "data.m.answers",
        ],
        input=json.dumps({"values": values, "schema": schema}).encode(),
        capture_output=True,
        check=True,
        timeout=120,
    )
    answers: list[bool] = json.loads(done.stdout)
    assert len(answers) == len(values)
    return answers


@pytest.mark.parametrize("seed", range(3))
def test_same_verdict_as_opa(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    values = [full_question(), gate_inputs.example()]
    for _ in range(600):
        once = damaged(full_question(), chance)
        values += [once, damaged(once, chance)]
    ours = [not BY_SCHEMA(value) for value in values]
    theirs = opa_says(values, SCHEMA, tmp_path)
    assert [v for v, o, t in zip(values, ours, theirs, strict=True) if o != t] == []
    assert ours[0] and ours[1]
    assert sum(not fits for fits in ours) > 100


def test_same_verdict_on_thresholds(tmp_path: Path) -> None:
    rules = parse((opa.POLICIES / "data" / "rules.json").read_bytes())
    chance = random.Random(7)
    values = [*rules.values()] + [damaged(rules["local"], chance) for _ in range(300)]
    ours = [not problems(value, ENVIRONMENT) for value in values]
    assert ours == opa_says(values, ENVIRONMENT, tmp_path)
    assert all(ours[: len(rules)])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_nothing_arbitrary_is_a_question(value: Any) -> None:
    assert BY_SCHEMA(value)


def test_an_unknown_keyword_is_an_error_of_the_schema() -> None:
    with pytest.raises(ValueError, match="uniqueItems"):
        problems([1], {"type": "array", "uniqueItems": True})


def test_a_digest_with_a_line_end_is_none() -> None:
    assert problems(gate_inputs.STANDING + "\n", SCHEMA["definitions"]["digest"])
    assert not problems(gate_inputs.STANDING, SCHEMA["definitions"]["digest"])
