"""Attempts to move traffic without a record, and the ways that a promotion ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import yaml

from tests.support.checkout import Checkout

PROBATION_S = 4


def test_attempts(checkout: Checkout, image: bytes) -> None:
    rules = checkout.root / "policies" / "data" / "rules.json"
    data = json.loads(rules.read_text())
    data["local"]["probation_seconds"] = PROBATION_S
    rules.write_text(json.dumps(data))
    checkout.run("up")
    plain, better = (checkout.releases()[f"digits-{variant}"] for variant in ("plain", "better"))
    checkout.run("promote", "digits", better, "--share", "5", "--region", "local-a")
    _another_bucket_name_is_no_empty_log(checkout, better)
    _an_edited_program_cannot_move_weights(checkout)
    _a_gateway_edited_by_hand_is_named_and_repaired(checkout)
    _an_interrupt_before_the_intent_changes_nothing(checkout, better)
    _a_lost_receipt_does_not_open_destroy(checkout)
    _many_plain_updates_fit_into_the_log(checkout)
    _withdrawing_a_region_bars_nothing(checkout, better)
    _a_candidate_becomes_standing_and_is_rolled_back_from(checkout, plain, better, image)
    checkout.run("down", "--yes")
    assert checkout.json("audit", "verify", "--history", "auto")["ok"]


def _config(checkout: Checkout, key: str, value: Any) -> bytes:
    before = checkout.stack_file.read_bytes()
    document = yaml.safe_load(before)
    document["config"][f"lockstep:{key}"] = value
    checkout.stack_file.write_text(yaml.safe_dump(document))
    return before


def _size(checkout: Checkout) -> int:
    return int(checkout.json("audit", "verify")["size"])


def _another_bucket_name_is_no_empty_log(checkout: Checkout, better: str) -> None:
    """An empty log would make everything a first placement, which is free of the ladder."""
    checkout.pulumi("stack", "ls")
    before = _config(checkout, "audit", {"bucket": "lockstep-audit-2", "retention_days": 30})
    checkout.declare(local_a={"green_weight": 100})
    assert checkout.json("up", expect=1)["error"]["code"] == "audit.other_bucket"
    assert "audit.other_bucket" in checkout.pulumi("preview", expect=1).stdout
    checkout.stack_file.write_bytes(before)
    assert checkout.status()["local-a"]["live"] == {"green_weight": 5}


def _an_edited_program_cannot_move_weights(checkout: Checkout) -> None:
    """Somebody passes a weight of their own to the route, around the gate's output."""
    program = checkout.root / "infra" / "local" / "route.py"
    before = program.read_text()
    taken = 'cell=allowed.apply(lambda cell: {key: value for key, value in cell.items() if key != "intent"})'
    assert taken in before
    own = '{**{k: v for k, v in cell.items() if k != "intent"}, "green_weight": 60}'
    forged = f"cell=allowed.apply(lambda cell: {own})"
    program.write_text(before.replace(taken, forged))
    size = _size(checkout)
    said = checkout.pulumi("up", "--yes", "--skip-preview", expect=1).stdout
    assert "route.no_record" in said
    assert checkout.status()["local-a"]["live"] == {"green_weight": 5}
    program.write_text(before)
    checkout.run("up")
    shown = checkout.json("audit", "show", "--last", str(_size(checkout) - size))["records"]
    assert {entry["record"]["kind"] for entry in shown} == {"history"}


def _a_gateway_edited_by_hand_is_named_and_repaired(checkout: Checkout) -> None:
    checkout.add_stray_route("local-b")
    time.sleep(0.5)
    status = checkout.json("status")
    assert "local-b" in status["odd"], status
    report = checkout.json("audit", "verify", expect=1)
    assert [problem["code"] for problem in report["problems"]] == ["route.gateway_odd"]
    checkout.declare(local_a={"green_weight": 25})
    error = checkout.json("up", expect=1)["error"]
    assert error["code"] == "route.gateway_odd", error
    checkout.declare(local_a={"green_weight": 5})
    checkout.run("up")
    assert checkout.json("status")["odd"] == ""


def _an_interrupt_before_the_intent_changes_nothing(checkout: Checkout, better: str) -> None:
    before, size = checkout.stack_file.read_bytes(), _size(checkout)
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "lockstep.cli",
            "promote",
            "digits",
            better,
            "--share",
            "25",
            "--region",
            "local-a",
        ],
        cwd=checkout.root,
        env=checkout.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while checkout.stack_file.read_bytes() == before:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 8, out + err
    assert checkout.stack_file.read_bytes() == before
    assert _size(checkout) == size
    assert checkout.status()["local-a"]["live"] == {"green_weight": 5}


def _urn(checkout: Checkout, kind: str) -> str:
    resources = json.loads(checkout.pulumi("stack", "export").stdout)["deployment"]["resources"]
    return next(each["urn"] for each in resources if each["type"] == f"lockstep:index:{kind}")


def _a_lost_receipt_does_not_open_destroy(checkout: Checkout) -> None:
    """The receipt records a withdrawal and knows allow_destroy; without it nothing may be torn down."""
    before = _config(checkout, "allow_destroy", False)
    checkout.run("up")
    checkout.pulumi("state", "delete", _urn(checkout, "PromotionReceipt"), "--yes")
    size = _size(checkout)
    said = checkout.pulumi("destroy", "--yes", "--skip-preview", expect=1).stdout
    assert "route.no_record" in said or "destroy.no_intent" in said
    assert _size(checkout) == size
    assert checkout.json("status")["up"], "a refused destroy has torn nothing down"
    assert checkout.status()["local-a"]["live"] == {"green_weight": 5}
    checkout.stack_file.write_bytes(before)
    checkout.run("up")
    assert all(entry["healthy"] for entry in checkout.status().values())


def _many_plain_updates_fit_into_the_log(checkout: Checkout) -> None:
    """Plain updates without a change write history files and no record; one record must not hold them all."""
    folder = checkout.paths.backend / ".pulumi" / "history" / "lockstep" / "local"
    newest = sorted(folder.glob("*.history.json"))[-1]
    stamp = int(newest.name.split("-")[1].split(".")[0])
    for number in range(1, 301):
        (folder / f"local-{stamp + number}.history.json").write_bytes(newest.read_bytes())
    checkout.run("up")
    report = checkout.json("audit", "verify", "--history", "auto")
    assert report["ok"], report


def _withdrawing_a_region_bars_nothing(checkout: Checkout, better: str) -> None:
    checkout.run("promote", "digits", better, "--share", "5", "--region", "local-b")
    checkout.run("withdraw", "digits", "--region", "local-b", "--yes")
    assert checkout.json("status")["barred"] == []
    document = yaml.safe_load(checkout.stack_file.read_bytes())
    plain = document["config"]["lockstep:models"]["digits"]["local-a"]["blue"]
    document["config"]["lockstep:models"]["digits"]["local-b"] = {
        "blue": plain,
        "green": None,
        "green_weight": 0,
    }
    checkout.stack_file.write_text(yaml.safe_dump(document))
    checkout.run("up")  # what stands there may come back at once
    assert checkout.status()["local-b"]["healthy"]


def _a_candidate_becomes_standing_and_is_rolled_back_from(
    checkout: Checkout, plain: str, better: str, image: bytes
) -> None:
    for percent in ("25", "50", "100"):
        checkout.run("promote", "digits", better, "--share", percent, "--region", "local-a")
    before = checkout.stack_file.read_bytes()
    checkout.declare(local_a={"blue": None})  # the former release stays until its successor stands
    assert "table.third_release" in checkout.pulumi("preview", expect=1).stdout
    checkout.stack_file.write_bytes(before)
    assert checkout.status()["local-a"]["standing"] == plain
    time.sleep(PROBATION_S)
    pids = checkout.supervisor.pids()
    checkout.run("up")
    assert checkout.supervisor.pids() == pids, "a mark moves nothing"
    assert checkout.status()["local-a"]["standing"] == better
    assert checkout.json("rollback", "digits")["regions"] == ["local-a"]
    after = checkout.status()["local-a"]
    assert after["standing"] == plain
    assert after["live"] == {"green_weight": 0}
    counts, failed = checkout.shares(60, image)
    assert failed == 0
    assert {release for _, release in counts} == {plain}
    assert checkout.json("status")["barred"] == [better]
