"""infra/config.py: every problem at once, each with its key; a declared 0 stays 0."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.config import TYPES, Settings, defaults, load
from lockstep.errors import UsageError

ROOT = Path(__file__).parents[2]
BLUE, GREEN = "sha256:" + "b" * 64, "sha256:" + "6" * 64


def good() -> dict[str, Any]:
    return {
        **defaults(ROOT / "Pulumi.yaml"),
        "lockstep:target": "local",
        "lockstep:environment": "local",
        "lockstep:regions": [{"name": "local-a"}, {"name": "local-b"}],
        "lockstep:models": {"digits": {"local-a": {"blue": BLUE, "green": GREEN, "green_weight": 0}}},
        "lockstep:audit": {"bucket": "lockstep-audit", "retention_days": 30},
        "lockstep:allow_destroy": True,
    }


def cell(**changes: Any) -> dict[str, Any]:
    values = good()
    values["lockstep:models"]["digits"]["local-a"].update(changes)
    return values


def problems(values: dict[str, Any]) -> str:
    with pytest.raises(UsageError) as caught:
        load(values)
    assert caught.value.code == "config.invalid"
    assert caught.value.exit_code == 2
    return caught.value.message


def test_good_config_is_frozen_values() -> None:
    settings = load(good())
    assert isinstance(settings, Settings)
    assert settings.regions == ("local-a", "local-b")
    assert settings.table["digits"]["local-a"] == {"blue": BLUE, "green": GREEN, "green_weight": 0}
    with pytest.raises(AttributeError):
        settings.port = 1  # type: ignore[misc]


@pytest.mark.parametrize("weight", [0, 0.1, 5, 99.9, 100, 5.0])
def test_weights_in_tenths_are_kept(weight: float) -> None:
    kept = load(cell(green_weight=weight)).table["digits"]["local-a"]["green_weight"]
    assert kept == weight
    assert isinstance(kept, int) == (weight == int(weight))


@pytest.mark.parametrize("weight", [-0.1, 100.1, 5.55, True, "5", None, [5]])
def test_weight_that_cannot_be_is_named(weight: object) -> None:
    assert "lockstep:models.digits.local-a.green_weight" in problems(cell(green_weight=weight))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"green": None, "green_weight": 0.1}, "gives traffic to green"),
        ({"blue": None, "green_weight": 99.9}, "gives traffic to blue"),
        ({"blue": None, "green": None, "green_weight": 5}, "gives traffic to green"),
        ({"blue": "plain"}, "is not a release digest"),
        ({"blue": BLUE.upper()}, "is not a release digest"),
        ({"red": BLUE}, "digits.local-a.red: unknown key"),
    ],
)
def test_cell_that_cannot_be_is_named(changes: dict[str, Any], says: str) -> None:
    assert says in problems(cell(**changes))


def test_an_empty_cell_and_a_withdrawn_one_are_fine() -> None:
    assert load(cell(blue=None, green=None)).table["digits"]["local-a"]["green_weight"] == 0
    values = good()
    values["lockstep:models"]["digits"]["local-a"] = {"withdraw": BLUE}
    assert load(values).table["digits"]["local-a"] == {"withdraw": BLUE}


def test_all_problems_at_once() -> None:
    values = cell(green_weight=5.55)
    values["lockstep:regions"].append({"name": "local-a"})
    values["lockstep:modles"] = {}
    values["lockstep:audit"] = {"bucket": "x", "retention_days": 0}
    del values["lockstep:allow_destroy"]
    said = problems(values)
    for key in ("green_weight", "regions[2].name: duplicate", "lockstep:modles: unknown", "audit.bucket"):
        assert key in said
    assert "did you mean lockstep:models?" in said
    assert "audit.retention_days" in said
    assert "lockstep:allow_destroy: missing" in said


def test_a_region_that_is_not_declared_is_named() -> None:
    values = good()
    values["lockstep:models"]["digits"]["mars"] = {"blue": BLUE, "green": None, "green_weight": 0}
    assert "'mars' is not in lockstep:regions" in problems(values)


def test_strings_from_the_engine_give_the_same_settings() -> None:
    strings = {key: value if isinstance(value, str) else json.dumps(value) for key, value in good().items()}
    assert load(strings) == load(good())


def test_a_string_from_the_engine_that_is_no_json_is_named() -> None:
    strings = {key: value if isinstance(value, str) else json.dumps(value) for key, value in good().items()}
    with pytest.raises(UsageError, match="lockstep:models: 'oops' is not a mapping"):
        load({**strings, "lockstep:models": "oops"})


def test_the_project_file_declares_exactly_these_keys() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    assert {key.removeprefix("lockstep:") for key in declared} == set(TYPES)


def test_stack_files_have_the_same_keys() -> None:
    names = ("Pulumi.staging.yaml", "Pulumi.prod.yaml", "Pulumi.local.yaml.example")
    staging, prod, local = (set(yaml.safe_load((ROOT / name).read_text())["config"]) for name in names)
    assert staging == prod
    assert local == staging - set(defaults(ROOT / "Pulumi.yaml"))  # what only a cloud has goes unnamed there


@pytest.mark.parametrize("name", ["staging", "prod"])
def test_committed_stack_files_are_valid_and_name_no_release(name: str) -> None:
    values = {
        **defaults(ROOT / "Pulumi.yaml"),
        **yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text())["config"],
    }
    settings = load(copy.deepcopy(values))
    assert not settings.allow_destroy
    assert all(
        each == {"blue": None, "green": None, "green_weight": 0}
        for places in settings.table.values()
        for each in places.values()
    )


@pytest.mark.parametrize("url", ["", "file:///srv/store", "s3://bucket/team?endpoint=http://127.0.0.1:7070"])
def test_a_store_that_can_be_opened(url: str) -> None:
    assert load({**good(), "lockstep:store": url}).store == url


@pytest.mark.parametrize("url", ["store", "s3://", "s3://key:hunter2@bucket/x", "s3://bucket?secret=hunter2"])
def test_a_store_that_cannot_is_a_problem_of_its_key(url: str) -> None:
    said = problems({**good(), "lockstep:store": url})
    assert "lockstep:store: " in said and "hunter2" not in said


def test_the_releases_of_a_cloud_stack_are_in_its_registry_unless_the_file_says_otherwise() -> None:
    values = {
        **defaults(ROOT / "Pulumi.yaml"),
        **yaml.safe_load((ROOT / "Pulumi.prod.yaml").read_text())["config"],
    }
    assert load(values).release_store == "s3://lockstep-releases-prod?region=eu-central-1"
    assert load(values).entrypoint == "https://vision.example.com"
    assert load({**values, "lockstep:store": "s3://team/here"}).release_store == "s3://team/here"
