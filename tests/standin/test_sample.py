"""The sample release passes the real gate of every environment, offline, and is believed nowhere else."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.config import Settings, defaults, load
from lockstep.canonical import digest
from lockstep.errors import UsageError
from lockstep.evidence import collect
from lockstep.evidence.keys import load_trust
from lockstep.ledger import Ledger
from lockstep.paths import Paths
from lockstep.provider.gate import PromotionGate
from lockstep.provider.kind import Call
from lockstep.provider.session import Session
from lockstep.release.folder import FolderStore
from lockstep.standin.offline import OfflineStack
from lockstep.standin.sample import offline_config, offline_settings, sample, samples
from lockstep.table import cells
from lockstep.targets import OFFLINE, stack_of

ROOT = Path(__file__).parents[2]


def settings_of(stack: str) -> Settings:
    values = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    return load({**defaults(ROOT / "Pulumi.yaml"), **values})


def ledger(folder: Path, said: Settings) -> Ledger:
    """What the provider opens in an offline run."""
    stack = OfflineStack(Paths(ROOT, folder / "state"), said.environment, folder)
    return Ledger(
        stack,
        said.environment,
        said.bucket,
        said.retention_days,
        said.store,
        said.opa_url,
    )


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_the_gate_allows_the_sample_in_blue_of_every_region(tmp_path: Path, stack: str) -> None:
    declared = settings_of(stack)
    settings = offline_settings(declared, samples(tmp_path, sorted(declared.table)))
    judged = ledger(tmp_path, settings).judge(settings.table)
    assert judged is not None
    proposed, decision = judged
    assert decision.violations == ()
    assert decision.allow
    assert proposed.change == "first"
    assert {region for _, region, _ in cells(settings.table)} == set(declared.regions)


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_a_sample_that_another_key_signed_is_denied(tmp_path: Path, stack: str) -> None:
    declared = settings_of(stack)
    settings = offline_settings(declared, samples(tmp_path / "mine", sorted(declared.table)))
    samples(tmp_path / "other", sorted(declared.table))
    shutil.copy(tmp_path / "other" / "trust.json", tmp_path / "mine" / "trust.json")
    judged = ledger(tmp_path / "mine", settings).judge(settings.table)
    assert judged is not None
    assert {violation.code for violation in judged[1].violations} == {"evidence.evaluation"}


@pytest.mark.parametrize("environment", ["staging", "prod"])
def test_nobody_outside_believes_what_is_said_of_the_sample(tmp_path: Path, environment: str) -> None:
    made = sample(tmp_path)
    found = collect(FolderStore(tmp_path / "store"), made.digest, load_trust(ROOT / "policies", environment))
    assert found.evaluation is None
    assert "evidence.unknown_key" in (found.reason or "")


def test_the_digest_is_the_same_everywhere_and_the_key_is_not(tmp_path: Path) -> None:
    first, second = sample(tmp_path / "one"), sample(tmp_path / "two")
    again = sample(tmp_path / "one")
    assert first == second == again
    trusts = {(tmp_path / name / "trust.json").read_bytes() for name in ("one", "two")}
    assert len(trusts) == 2


def test_no_private_key_is_left_behind(tmp_path: Path) -> None:
    sample(tmp_path)
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    assert not any(b"PRIVATE KEY" in data for data in written)


def test_each_model_has_a_sample_of_its_own(tmp_path: Path) -> None:
    made = samples(tmp_path, ["digits", "faces"])
    store = FolderStore(tmp_path / "store")
    assert {store.manifest(each.digest).model for each in made.values()} == {"digits", "faces"}
    assert made["digits"].digest != made["faces"].digest


@pytest.mark.parametrize("runtime", ["onnx", "torch", "tensorrt"])
def test_the_sample_has_an_image_for_every_runtime(tmp_path: Path, runtime: str) -> None:
    declared = settings_of("staging")
    made = samples(tmp_path, sorted(declared.table))
    settings = offline_settings(declared, made)
    lock = ledger(tmp_path, settings).lock_of(made["digits"].digest, runtime)
    assert settings.cloud is not None
    assert settings.cloud.images[lock] == made["digits"].image


def test_the_offline_config_loads_as_the_offline_settings(tmp_path: Path) -> None:
    declared = settings_of("prod")
    made = samples(tmp_path, sorted(declared.table))
    values: dict[str, Any] = yaml.safe_load((ROOT / "Pulumi.prod.yaml").read_text())["config"]
    config = {**defaults(ROOT / "Pulumi.yaml"), **values, **offline_config(declared, made)}
    assert load(config) == offline_settings(declared, made)


def test_a_release_without_the_runtime_says_which_it_has(tmp_path: Path) -> None:
    declared = settings_of("staging")
    made = samples(tmp_path, sorted(declared.table))
    with pytest.raises(UsageError) as caught:
        ledger(tmp_path, declared).lock_of(made["digits"].digest, "abacus")
    assert caught.value.code == "release.no_runtime"
    assert "onnx, tensorrt, torch" in caught.value.remedy


def test_an_offline_run_records_nothing(tmp_path: Path) -> None:
    declared = settings_of("staging")
    settings = offline_settings(declared, samples(tmp_path, sorted(declared.table)))
    with pytest.raises(UsageError) as caught:
        ledger(tmp_path, settings).record_intent(settings.table)
    assert caught.value.code == "offline.writes"
    with pytest.raises(UsageError):
        ledger(tmp_path, settings).record_outcome(0)
    assert ledger(tmp_path, settings).state() is None
    assert not ledger(tmp_path, settings).knows("0")


@pytest.mark.parametrize("target", ["local", "aws"])
def test_the_provider_previews_offline_and_never_applies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    declared = settings_of("staging")
    settings = offline_settings(declared, samples(tmp_path, sorted(declared.table)))
    monkeypatch.setenv(OFFLINE, str(tmp_path))
    inputs = {**settings.log, "target": target, "table": settings.table, "store": "", "opa_url": ""}
    inputs["allow_destroy"] = False
    call = Call(
        Session(Paths(ROOT, tmp_path / "state")),
        "urn:pulumi:staging::lockstep::lockstep:index:PromotionGate::gate",
        preview=True,
    )
    assert PromotionGate().check(call, inputs) == []
    _, outputs = PromotionGate().create(call, inputs)
    assert (outputs["intent"], outputs["change"]) == (0, "first")
    with pytest.raises(UsageError) as caught:
        PromotionGate().create(replace(call, preview=False), inputs)
    assert caught.value.code == "offline.writes"


@pytest.mark.parametrize("target", ["local", "aws"])
def test_offline_stands_in_for_every_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.setenv(OFFLINE, str(tmp_path))
    stack = stack_of(
        Paths(ROOT, tmp_path), "staging", target=target, environment="staging", home="eu-central-1"
    )
    assert isinstance(stack, OfflineStack)
    assert stack.folder == tmp_path
    assert stack.observe({}, ["eu-central-1"]).live == {}


def test_policies_are_not_touched(tmp_path: Path) -> None:
    def read() -> dict[str, str]:
        data = sorted((ROOT / "policies" / "data").glob("*.json"))
        return {path.name: digest(path.read_bytes()) for path in data}

    before = read()
    declared = settings_of("staging")
    settings = offline_settings(declared, samples(tmp_path, sorted(declared.table)))
    ledger(tmp_path, settings).judge(settings.table)
    assert read() == before
