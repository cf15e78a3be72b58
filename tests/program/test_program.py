"""The Pulumi program under mocks as strict as the plugin: what it declares, from what, and in which order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

import pulumi
import pytest
import yaml
from pulumi.runtime import mocks as pulumi_mocks

from infra.config import Settings, defaults, load
from infra.program import build, target_of
from lockstep.audit.head_option import read_head
from lockstep.table import cells
from tests.support.goldens import require_same
from tests.support.mocks import RESOURCES, Gate, Recorder, StrictMocks

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "goldens" / "local.json"
PLAIN, BETTER, GIVEN = ("sha256:" + letter * 64 for letter in "abc")
REGIONS = ("local-a", "local-b")


def example(**cells: dict[str, Any]) -> Settings:
    """The local example, with other cells for some regions (`_` for `-`)."""
    text = Template((ROOT / "Pulumi.local.yaml.example").read_text()).substitute(plain=PLAIN)
    values = {**defaults(ROOT / "Pulumi.yaml"), **yaml.safe_load(text)["config"]}
    for region, cell in cells.items():
        values["lockstep:models"]["digits"][region.replace("_", "-")] = cell
    return load(values)


def given_out(table: dict[str, Any]) -> dict[str, Any]:
    """A gate that allows something else than what was declared, so that the source of each value shows."""
    result: dict[str, Any] = {}
    for model, region, _ in cells(table):
        index = {"local-a": 7, "local-b": 9}[region]
        cell = {"blue": GIVEN, "green": BETTER, "green_weight": 12.5, "intent": index}
        result.setdefault(model, {})[region] = cell
    return result


@pytest.fixture(autouse=True)
def quiet_engine() -> Iterator[None]:
    """A loop for the SDK, whatever other tests left; and afterwards no engine."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    pulumi.runtime.settings.reset_options()
    asyncio.set_event_loop(None)
    loop.close()


def declare(settings: Settings, gate: Gate = given_out) -> tuple[Recorder, dict[str, Any]]:
    """Run the program on mocks; what it registered and the stack's outputs."""
    recorder = Recorder(StrictMocks(gate))
    pulumi_mocks.set_mocks(recorder.mocks, project="lockstep", stack="local", monitor=recorder)
    seen: dict[str, Any] = {}

    @pulumi.runtime.test
    def run() -> pulumi.Output[None]:
        return pulumi.Output.all(**build(settings)).apply(seen.update)

    run()
    return recorder, seen


def whole(value: Any) -> Any:
    """Numbers as they were before they crossed the engine's protocol, which knows only floats."""
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def test_the_local_example_is_the_golden_graph() -> None:
    recorder, _ = declare(example())
    graph = {
        each.name: {"type": each.type, "inputs": each.inputs, "after": list(each.after)}
        for each in recorder.registered
    }
    require_same(GOLDEN, json.dumps(whole(graph), indent=2, sort_keys=True) + "\n")


def test_releases_and_weights_come_from_the_gate_alone() -> None:
    both = {"blue": PLAIN, "green": PLAIN, "green_weight": 0}
    recorder, _ = declare(example(local_a=both, local_b=both))
    declared = {"blue", "green", "table"}
    for each in recorder.registered:
        if each.name != "gate":
            assert PLAIN not in json.dumps(each.inputs), f"{each.name} has a release that no gate gave out"
            assert not declared & set(each.inputs)
    for region, index in (("local-a", 7), ("local-b", 9)):
        assert recorder.named(f"digits-{region}-blue").inputs["release"] == GIVEN
        assert recorder.named(f"digits-{region}-green").inputs["release"] == BETTER
        route = recorder.named(f"digits-{region}").inputs
        assert route["cell"] == {"blue": GIVEN, "green": BETTER, "green_weight": 12.5}
        assert route["intent"] == index
    assert recorder.named("receipt").inputs["intent"] == 12


def test_a_route_has_nothing_of_the_whole_stack_in_it() -> None:
    recorder, _ = declare(example())
    before = recorder.named("digits-local-a").inputs

    def moved(table: dict[str, Any]) -> dict[str, Any]:
        cells_now = given_out(table)
        cells_now["digits"]["local-b"] |= {"green_weight": 50, "intent": 21}
        return cells_now

    after, _ = declare(example(), moved)
    assert after.named("digits-local-a").inputs == before
    assert after.named("digits-local-b").inputs["intent"] == 21


def test_bucket_then_gate_then_services_then_routes_then_receipt() -> None:
    both = {"blue": PLAIN, "green": BETTER, "green_weight": 5}
    recorder, _ = declare(example(local_a=both))
    services = {"digits-local-a-blue", "digits-local-a-green"}
    assert recorder.named("audit").after == ()
    assert recorder.named("gate").after == ("audit",)
    for service in services:
        assert "gate" in recorder.named(service).after
    assert services | {"gate", "gateway-local-a"} <= set(recorder.named("digits-local-a").after)
    receipt = recorder.named("receipt")
    assert {"gate", "entry", "digits-local-a", "digits-local-b"} <= set(receipt.after)
    assert not any("receipt" in each.after for each in recorder.registered)


def test_a_service_for_each_slot_that_names_a_release_and_no_other() -> None:
    recorder, _ = declare(
        example(
            local_a={"blue": None, "green": PLAIN, "green_weight": 100},
            local_b={"withdraw": PLAIN},
        )
    )
    names = {each.name for each in recorder.registered if each.type.endswith(":ModelService")}
    assert names == {"digits-local-a-green"}
    routes = {each.name for each in recorder.registered if each.type.endswith(":Route")}
    assert routes == {"digits-local-a", "digits-local-b"}  # a withdrawn cell's route stays and answers 404


def test_no_default_provider_of_anybody_else_is_needed() -> None:
    recorder, _ = declare(example())
    assert {each.type.partition(":")[0] for each in recorder.registered} == {"lockstep"}
    assert {each.provider for each in recorder.registered} == {""}


def test_what_holds_a_name_or_a_port_goes_before_its_replacement_comes() -> None:
    recorder, _ = declare(example())
    for each in recorder.registered:
        if each.type.rsplit(":", 1)[1] in ("Gateway", "ModelService", "Route", "EntryPoint"):
            assert each.delete_before_replace, each.name


def test_the_stacks_outputs() -> None:
    _, seen = declare(example())
    assert seen["entrypoint"] == "http://entry"
    assert str(read_head(seen["head"], [], "lockstep/local")) == f"14:{'ab' * 32}"
    assert seen["outcome"] == 13
    assert seen["cells"] == given_out(example().table)


WARRANTS = {"lockstep:index:ReleaseWarrant", "lockstep:index:RouteWarrant"}
"""What a target needs whose services and routes are not the plugin's own."""


def test_every_kind_of_the_plugin_is_declared_somewhere() -> None:
    recorder, _ = declare(example())
    assert {each.type for each in recorder.registered} == set(RESOURCES) - WARRANTS


def test_the_mocks_refuse_what_the_plugin_does_not_have() -> None:
    recorder = Recorder(StrictMocks(given_out))
    pulumi_mocks.set_mocks(recorder.mocks, project="lockstep", stack="local", monitor=recorder)

    @pulumi.runtime.test
    def run() -> None:
        properties = {"region": "local-a", "port": 1, "weight": 5}
        pulumi.CustomResource("lockstep:index:Gateway", "some", properties)

    with pytest.raises(Exception, match="weight"):
        run()


def test_both_targets_have_the_same_nouns() -> None:
    nouns = {"audit_bucket", "entry_point", "ground", "region", "route", "service"}
    values = yaml.safe_load((ROOT / "Pulumi.staging.yaml").read_text())["config"]
    for settings in (example(), load({**defaults(ROOT / "Pulumi.yaml"), **values})):
        target = target_of(settings)
        assert nouns <= set(dir(target)), target
