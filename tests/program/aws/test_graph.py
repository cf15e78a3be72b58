"""Staging and prod as the real engine sees them, computed by the stand-ins: every resource and its inputs.

The goldens are rewritten by one command and read as diffs: a change of the program shows what it does to a
stack, before anybody has an account to try it on.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from lockstep.paths import Paths, here
from lockstep.planned import STACK, Difference, difference_lines, differences, tree
from lockstep.standin.preview import OfflinePreview, preview
from lockstep.toolchain import ensure
from tests.support.goldens import require_same

HERE = Path(__file__).parent
GOLDENS = HERE / "goldens"
STACKS = ("staging", "prod")
Shown = Mapping[str, OfflinePreview]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """Both stacks, previewed offline in a state folder of their own."""
    paths = Paths(root=here().root, state=tmp_path_factory.mktemp("offline"))
    toolchain = ensure(print)
    return {stack: preview(paths, stack, lambda: toolchain, print) for stack in STACKS}


def in_one_region(each: Any, region: str = "eu-central-1") -> bool:
    """Whether it belongs to this region or to none: the others are made by the same lines."""
    others = ("us-east-1", "ap-northeast-1")
    return region in each.name or not any(other in each.name for other in others)


@pytest.mark.parametrize("stack", STACKS)
def test_the_tree_of_a_stack_is_the_golden(shown: Shown, stack: str) -> None:
    lines = tree(shown[stack].plan.resources)
    require_same(GOLDENS / f"{stack}.tree.txt", "\n".join(lines) + "\n")


def test_the_inputs_of_a_region_and_of_what_is_global_are_the_golden(shown: Shown) -> None:
    resources = [
        each for each in shown["staging"].plan.resources if each.type != STACK and in_one_region(each)
    ]
    document = {f"{each.type} {each.name}": plain(each.inputs) for each in resources}
    text = yaml.safe_dump(document, sort_keys=True, width=100, allow_unicode=True)
    require_same(GOLDENS / "staging.inputs.yaml", text)


def plain(value: Any) -> Any:
    """Without what the provider notes for itself."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items() if not key.startswith("__")}
    return [plain(item) for item in value] if isinstance(value, list) else value


def test_the_stacks_differ_as_the_golden_says(shown: Shown) -> None:
    lines = difference_lines(between(shown), STACKS)
    require_same(GOLDENS / "differences.txt", "\n".join(lines) + "\n")


def between(shown: Shown) -> list[Difference]:
    ours, theirs = (shown[stack].plan.resources for stack in STACKS)
    return differences(ours, theirs, STACKS)


def test_the_stacks_differ_only_where_the_table_says_they_may(shown: Shown) -> None:
    rows = tomllib.loads((HERE / "differences.toml").read_text())["may"]
    used: set[int] = set()
    unforeseen = []
    for each in between(shown):
        row = next((at for at, row in enumerate(rows) if allows(row, each)), None)
        if row is None:
            unforeseen.append(f"{each.type} {each.path or 'in one of them only'}")
        else:
            used.add(row)
    assert sorted(set(unforeseen)) == []
    assert [row for at, row in enumerate(rows) if at not in used] == []


def allows(row: Mapping[str, str], each: Difference) -> bool:
    return fnmatchcase(each.type, row["type"]) and fnmatchcase(each.path, row["path"])


def test_the_gate_allows_the_sample_under_the_policies_of_each_environment(shown: Shown) -> None:
    for stack in STACKS:
        decision = shown[stack].decision
        assert decision is not None and decision.allow
        assert set(decision.looked.values()) == {3}, decision.looked  # one cell in each region


def names_of(shown: OfflinePreview, kind: str) -> set[str]:
    return {each.name for each in shown.plan.resources if each.type.endswith(f":{kind}")}


def test_an_empty_slot_has_its_route_and_no_service(shown: Shown) -> None:
    regions = ("eu-central-1", "us-east-1", "ap-northeast-1")
    for stack in STACKS:
        health = {f"health-{region}-route" for region in regions}
        assert names_of(shown[stack], "HTTPRoute") - health == {f"digits-{region}" for region in regions}
        assert names_of(shown[stack], "Deployment") == {f"digits-{region}-blue" for region in regions}


def test_a_route_keeps_its_name_in_a_preview(shown: Shown) -> None:
    for each in shown["staging"].plan.resources:
        if each.type.endswith(":HTTPRoute") and each.name.startswith("digits-"):
            about = each.inputs["metadata"]
            assert (about["name"], about["namespace"]) == (each.name, "models")


def test_a_preview_without_a_cluster_says_which_objects_nobody_judged(shown: Shown) -> None:
    for stack in STACKS:
        plan = shown[stack].plan
        (about,) = (
            names for said, names in plan.warnings.items() if said.startswith("not validated by a cluster")
        )
        objects = {each.name for each in plan.resources if each.type.startswith("kubernetes:")}
        assert {"digits-eu-central-1-blue", "class-us-east-1"} <= set(about) <= objects


def of_provider(shown: OfflinePreview, package: str) -> list[Any]:
    return [each for each in shown.plan.resources if each.type.startswith(f"{package}:")]


@pytest.mark.parametrize("wanted", ["region"])
def test_every_regional_resource_of_aws_says_its_region(shown: Shown, wanted: str) -> None:
    silent = [
        each.type
        for each in of_provider(shown["staging"], "aws")
        if wanted not in each.inputs and each.type.split(":")[1].split("/")[0] not in GLOBAL
    ]
    assert sorted(set(silent)) == []


GLOBAL = ("iam", "route53", "globalaccelerator")
"""Services without regions."""
