"""The whole life of a stack, in order: up, promote, deny, tamper, roll back, prove, destroy, up again."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import psutil
import pytest

from tests.support.checkout import Checkout

STACK_MEMORY = 4 * 1024**3


@pytest.fixture(scope="module")
def up(checkout: Checkout) -> dict[str, object]:
    return checkout.json("up")


def test_story(checkout: Checkout, up: dict[str, object], image: bytes, tmp_path: Path) -> None:
    releases = checkout.releases()
    plain, better = releases["digits-plain"], releases["digits-better"]
    _first_up(checkout, up, plain)
    _second_up_changes_nothing(checkout)
    _a_promotion_in_one_region(checkout, better, image)
    _nothing_listens_beyond_loopback(checkout)
    _both_slots_in_both_regions_fit(checkout, better)
    _a_step_too_large(checkout, better)
    _a_tampered_release(checkout, better)
    _back_and_barred(checkout, plain, better, image)
    _the_log_proves_it(checkout, tmp_path)
    _no_secret_leaks(checkout)
    _down_and_up_again(checkout, plain)


def _first_up(checkout: Checkout, up: dict[str, object], plain: str) -> None:
    answer = up["prediction"]
    assert isinstance(answer, dict)
    assert answer["release"] == plain
    assert answer["slot"] == "blue"
    assert answer["region"] in ("local-a", "local-b")
    assert len(answer["prediction_id"]) >= 16
    assert up["record"] == 0
    assert str(up["head"]).split(":")[0] == "3"  # intent, outcome, history
    for region in checkout.status().values():
        assert region["healthy"], region
        assert region["standing"] == plain
        assert region["blue"] == {"release": plain, "ready": True}
        assert region["declared"] == region["live"] == {"green_weight": 0}


def _second_up_changes_nothing(checkout: Checkout) -> None:
    before = checkout.supervisor.pids()
    started = time.monotonic()
    checkout.run("up")
    print(f"second up: {time.monotonic() - started:.1f} s")
    assert checkout.supervisor.pids() == before
    assert "unchanged" in checkout.pulumi("preview", "--expect-no-changes").stdout


def _a_promotion_in_one_region(checkout: Checkout, better: str, image: bytes) -> None:
    checkout.run("promote", "digits", better[:20], "--share", "5", "--region", "local-a")
    status = checkout.status()
    assert status["local-a"]["live"] == {"green_weight": 5}
    assert status["local-a"]["green"] == {"release": better, "ready": True}
    assert status["local-b"]["live"] == {"green_weight": 0}
    assert status["local-b"]["green"]["release"] is None
    counts, failed = checkout.shares(600, image)
    assert failed == 0
    # 300 requests at 5 %: mean 15, deviation 3.8; six deviations either side, and never none
    assert 1 <= counts[("local-a", better)] <= 38, counts
    assert counts[("local-b", better)] == 0


def _nothing_listens_beyond_loopback(checkout: Checkout) -> None:
    listening = [
        (process.name(), connection.laddr.ip)
        for process in checkout.processes()
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 8, listening
    assert {ip for _, ip in listening} == {"127.0.0.1"}, listening


def _both_slots_in_both_regions_fit(checkout: Checkout, better: str) -> None:
    checkout.run("promote", "digits", better, "--share", "5", "--region", "local-b")
    names = set(checkout.supervisor.pids())
    assert {f"digits-local-{r}-{s}" for r in "ab" for s in ("blue", "green")} <= names
    resident = sum(process.memory_info().rss for process in checkout.processes())
    print(f"resident memory of the whole stack: {resident / 1e6:.0f} MB")
    assert resident < STACK_MEMORY
    for process in checkout.processes():
        mapped = {Path(item.path).name for item in process.memory_maps()}
        assert not any(name.startswith("libtorch") for name in mapped), process.cmdline()


def _a_step_too_large(checkout: Checkout, better: str) -> None:
    before = checkout.stack_file.read_bytes()
    error = checkout.json("promote", "digits", better, "--share", "80", expect=5)["error"]
    codes = {violation["code"] for violation in error["violations"]}
    assert "step.ladder" in codes
    assert all(violation["message"] and violation["remedy"] for violation in error["violations"])
    assert checkout.stack_file.read_bytes() == before
    newest = checkout.json("audit", "show", "--last", "1")
    assert "denied" in json.dumps(newest)
    assert checkout.status()["local-a"]["live"] == {"green_weight": 5}


def _a_tampered_release(checkout: Checkout, better: str) -> None:
    from lockstep.stores import open_store

    digest = open_store(f"file://{checkout.paths.store}").manifest(better).blob("model.onnx").digest
    blob = checkout.paths.store / "blobs" / "sha256" / digest.removeprefix("sha256:")
    good = blob.read_bytes()
    bad = bytearray(good)
    bad[len(bad) // 2] ^= 1
    blob.chmod(0o600)
    blob.write_bytes(bytes(bad))
    try:
        error = checkout.json("promote", "digits", better, "--share", "25", "--region", "local-a", expect=5)
        violation = error["error"]["violations"][0]
        assert violation["code"] == "release.verified"
        assert "model.onnx" in violation["message"]
        plain_pulumi = _declared(checkout, green_weight=25)
        assert "release.verified" in plain_pulumi
    finally:
        blob.write_bytes(good)
        blob.chmod(0o400)


def _declared(checkout: Checkout, **changes: object) -> str:
    """What plain `pulumi preview` says to an edited stack file; the file is put back."""
    before = checkout.stack_file.read_bytes()
    checkout.declare(local_a=changes)
    try:
        return checkout.pulumi("preview", expect=1).stdout
    finally:
        checkout.stack_file.write_bytes(before)


def _back_and_barred(checkout: Checkout, plain: str, better: str, image: bytes) -> None:
    said = checkout.run("rollback", "digits", "--dry-run")
    assert better[:19] in said.stderr
    assert checkout.status()["local-a"]["live"] == {"green_weight": 5}
    rolled = checkout.json("rollback", "digits", "--reason", "a test")
    assert rolled["release"] == better
    status = checkout.status()
    for region in ("local-a", "local-b"):
        assert status[region]["live"] == {"green_weight": 0}
        assert status[region]["green"]["release"] == better  # releases stay in their slots
    counts, failed = checkout.shares(100, image)
    assert failed == 0
    assert {release for _, release in counts} == {plain}
    error = checkout.json("promote", "digits", better, "--share", "5", expect=5)["error"]
    assert {violation["code"] for violation in error["violations"]} == {"release.barred"}
    assert "release.barred" in _declared(checkout, green_weight=5)
    checkout.run("retry", better, "--reason", "a test")
    checkout.run("promote", "digits", better, "--share", "5", "--region", "local-a")
    again = checkout.json("rollback", "digits", "--reason", "a second test")
    assert again["history"]["name"].endswith(".history.json")  # both at 0 with both placed: declared before


def _the_log_proves_it(checkout: Checkout, tmp_path: Path) -> None:
    report = checkout.json("audit", "verify", "--history", "auto")
    assert report["ok"], report
    assert report["problems"] == []
    head = f"{report['size']}:{report['root']}"
    copy = tmp_path / "export"
    checkout.run("audit", "export", str(copy))
    assert checkout.json("audit", "verify", "--from", str(copy), "--head", head)["ok"]
    record = copy / "record" / "0000000001"
    data = bytearray(record.read_bytes())
    data[100] ^= 1
    record.chmod(0o600)
    record.write_bytes(bytes(data))
    bad = checkout.json("audit", "verify", "--from", str(copy), expect=1)
    assert [(p["code"], p["index"]) for p in bad["problems"]] == [("audit.changed_byte", 1)]
    shutil.rmtree(copy)


def _no_secret_leaks(checkout: Checkout) -> None:
    credentials = json.loads((checkout.paths.stack("local").run / "audit.json").read_text())
    secrets = [credentials["secret"], (checkout.paths.state / "passphrase").read_text()]
    secrets += ["".join(path.read_text().splitlines()[1:-1]) for path in checkout.paths.keys.glob("*.pem")]
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        assert not any(secret in line for secret in secrets), process.pid
    places = [checkout.paths.backend, checkout.paths.stack("local").root / "audit", checkout.supervisor.logs]
    for place in places:
        for path in place.rglob("*"):
            if path.is_file():
                text = path.read_bytes()
                assert not any(secret.encode() in text for secret in secrets), path
    for path in (*checkout.paths.keys.glob("*.pem"), checkout.paths.stack("local").run / "audit.json"):
        assert path.stat().st_mode & 0o077 == 0, path


def _down_and_up_again(checkout: Checkout, plain: str) -> None:
    size = checkout.json("audit", "verify")["size"]
    ours = {process.pid for process in checkout.processes()}
    checkout.run("down", "--yes")
    assert checkout.supervisor.pids() == {}
    assert not any(psutil.pid_exists(pid) for pid in ours)
    after = checkout.json("audit", "verify")  # with everything else stopped
    assert after["ok"], after
    assert after["size"] == size + 2  # the intent to withdraw, and its outcome
    error = checkout.json("up", expect=5)["error"]  # the log outlives destroy, and so does the bar
    assert {violation["code"] for violation in error["violations"]} == {"release.barred"}
    for region in ("local_a", "local_b"):
        checkout.declare(**{region: {"green": None}})
    checkout.run("up")
    status = checkout.status()["local-a"]
    assert status["healthy"], status
    assert status["standing"] == plain
    assert status["green"]["release"] is None
    assert checkout.json("audit", "verify", "--history", "auto")["ok"]
