"""Which bundle judges: one that is unsigned, foreign, changed, older or not the one asked for does not.

The private OPA gets its bundle from `opa build`; a program in its place shows what happens to each kind of
bundle that could be put there instead. A configured OPA says which bundle it has.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from lockstep.errors import LockstepError, Unavailable
from lockstep.gate.bundle import Policies
from lockstep.gate.decision import Decision, decide
from lockstep.gate.opa import Opa, private_opa
from tests.support import gate_inputs, opa
from tests.support.loopback import served
from tests.support.stack import policies, scene

BUILD = """#!{python} -IS
import io, os, subprocess, sys, tarfile
words = sys.argv[1:]
if words[0] != "build":
    os.execv({opa!r}, [{opa!r}, *words])

def option(name):
    return words[words.index(name) + 1]

def without(*names):
    kept = list(words)
    for name in names:
        at = kept.index(name)
        del kept[at : at + 2]
    return kept

def build(words):
    subprocess.run([{opa!r}, *words], check=True)

def called(files, end):
    (found,) = [name for name in files if name.endswith(end)]
    return found

def rewrite(change):
    with tarfile.open(option("--output")) as bundle:
        files = {{each.name: bundle.extractfile(each).read() for each in bundle if each.isfile()}}
    change(files)
    with tarfile.open(option("--output"), "w:gz") as bundle:
        for name, data in files.items():
            each = tarfile.TarInfo(name)
            each.size = len(data)
            bundle.addfile(each, io.BytesIO(data))

{deed}
"""


def wicked(folder: Path, deed: str) -> Path:
    """An OPA that does something else where a bundle is to be built, and is the real one otherwise."""
    path = folder / "opa"
    path.write_text(BUILD.format(python=sys.executable, opa=str(opa.binary()), deed=deed))
    path.chmod(0o755)
    return path


def ask(started: Opa) -> Decision:
    return decide(gate_inputs.step(0, 5) | {"bundle": {"revision": started.revision}}, opa=started)


def refused(binary: Path) -> LockstepError:
    with (
        pytest.raises(Unavailable) as caught,
        private_opa(opa.POLICIES, "local", binary, deadline_s=60) as started,
    ):
        ask(started)
    assert caught.value.remedy
    return caught.value


def test_the_program_in_its_place_is_not_at_fault(tmp_path: Path) -> None:
    binary = wicked(tmp_path, "build(words)\nrewrite(lambda files: None)")
    with private_opa(opa.POLICIES, "local", binary, deadline_s=60) as started:
        assert ask(started).allow


def test_an_unsigned_bundle_does_not_judge(tmp_path: Path) -> None:
    error = refused(wicked(tmp_path, 'build(without("--signing-alg", "--signing-key"))'))
    assert error.code == "gate.opa_failed"
    assert "signature" in error.message


def test_a_bundle_that_somebody_else_signed_does_not_judge(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    (tmp_path / "key.pem").write_bytes(pem)
    error = refused(
        wicked(
            tmp_path, f'build(without("--signing-key") + ["--signing-key", {str(tmp_path / "key.pem")!r}])'
        )
    )
    assert error.code == "gate.opa_failed"
    assert "verif" in error.message


@pytest.mark.parametrize(
    "change",
    [
        'files["/data.json"] = files["/data.json"].replace(b\'"max_step":50\', b\'"max_step":100\')',
        'files[called(files, "/decision.rego")] += b"\\nallow := true\\n"',
        'del files[called(files, "/step_size.rego")]',
        'files["/more.rego"] = b"package more\\n"',
        'del files["/.signatures.json"]',
    ],
)
def test_a_bundle_that_was_changed_after_signing_does_not_judge(tmp_path: Path, change: str) -> None:
    check = "before = dict(files)\n    " + change + "\n    assert files != before"
    deed = f"build(words)\ndef change(files):\n    {check}\nrewrite(change)"
    assert refused(wicked(tmp_path, deed)).code == "gate.opa_failed"


def test_an_older_bundle_with_a_good_signature_does_not_judge(tmp_path: Path) -> None:
    older = tmp_path / "older"
    shutil.copytree(opa.POLICIES, older, ignore=shutil.ignore_patterns("local.json"))
    rules = older / "data" / "rules.json"
    rules.write_text(rules.read_text().replace('"max_step": 50', '"max_step": 100'))
    (tmp_path / "staged").mkdir()
    Policies.read(older).stage(tmp_path / "staged", environment="local")
    deed = f'build(without("--bundle") + ["--bundle", {str(tmp_path / "staged")!r}])'
    assert refused(wicked(tmp_path, deed)).code == "gate.opa_wrong_bundle"


def test_policies_that_drop_decision_logs_drop_nothing_from_the_record(tmp_path: Path) -> None:
    """What is recorded is OPA's answer, not OPA's log of it. `./lockstep test` refuses such policies."""
    folder = tmp_path / "policies"
    shutil.copytree(opa.POLICIES, folder, ignore=shutil.ignore_patterns("local.json"))
    (folder / "log").mkdir()
    (folder / "log" / "log.rego").write_text(
        'package system.log\n\ndrop := true\n\nmask contains "/result"\n\nmask contains "/input"\n'
    )
    with private_opa(folder, "local", opa.binary(), deadline_s=60) as started:
        denied = decide(gate_inputs.step(5, 80) | {"bundle": {"revision": started.revision}}, opa=started)
    recorded = denied.to_record()
    assert {one["code"] for one in recorded["violations"]} == {"step.ladder", "step.size"}
    assert recorded["revision"] == Policies.read(folder).revision
    assert recorded["input_digest"].startswith("sha256:")
    assert recorded["looked"]["step.size"] == 1


def test_a_decision_about_a_changed_table_that_looked_at_no_cell_denies(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(opa.POLICIES, folder, ignore=shutil.ignore_patterns("local.json"))
    rule = folder / "step_size" / "step_size.rego"
    rule.write_text(rule.read_text().replace("looked := lib.looked", "looked := set()"))
    with private_opa(folder, "local", opa.binary(), deadline_s=60) as started:
        assert ask(started).only("gate.nothing_looked_at")


@pytest.mark.parametrize(
    "change",
    [
        {"ladder": [5, 100, 25]},
        {"ladder": [5, 25]},
        {"max_step": "50"},
        {"probation_second": 60},
        {"freeze_windows": "none"},
        {"freeze_windows": [{"from": 5, "to": None, "reason": "x"}]},
        {"freeze_windows": [{"from": "soon", "to": "later", "reason": "x"}]},
        {"freeze_windows": [{"from": "2026-02-30T00:00:00Z", "to": "2027-01-01T00:00:00Z", "reason": "x"}]},
    ],
)
def test_data_that_is_not_well_formed_is_named_by_an_opa_that_is_strict(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    """As the gate asks, with strict-builtin-errors: an answer with the code, not a 500."""
    with policies(tmp_path, **change) as (_, started):
        quiet = gate_inputs.question(
            [gate_inputs.place("local-a", *[gate_inputs.cell(gate_inputs.STANDING, None, 0)] * 2)]
        )
        quiet["bundle"] = {"revision": started.revision}
        assert "policy.data" in {one.code for one in decide(quiet, opa=started).violations}


# --- a configured OPA


def judged_by(root: Path, folder: Path, configured: Opa) -> str:
    """The code with which a stack refuses this OPA."""
    with scene(root, folder, configured, bucket=False) as stage, pytest.raises(Unavailable) as caught:
        stage.ledger().judge(stage.table())
    return caught.value.code


def test_a_configured_opa_with_this_checkouts_policies_judges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with private_opa(opa.POLICIES, "local", opa.binary(), deadline_s=60) as configured:
        monkeypatch.setenv("LOCKSTEP_OPA_TOKEN", configured.token)
        with scene(tmp_path, opa.POLICIES, configured, bucket=False) as stage:
            judged = stage.ledger().judge(stage.table())
    assert judged is not None
    assert judged[1].allow


def test_a_configured_opa_with_other_policies_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs").mkdir()
    with policies(tmp_path / "theirs", max_step=100) as (_, configured):
        monkeypatch.setenv("LOCKSTEP_OPA_TOKEN", configured.token)
        assert judged_by(tmp_path / "ours", opa.POLICIES, configured) == "gate.opa_wrong_bundle"


@contextlib.contextmanager
def saying(*revisions: str) -> Iterator[Opa]:
    """Something that says these revisions in turn, the last one for ever, and allows all in its name."""
    left = list(revisions)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            revision = left.pop(0) if len(left) > 1 else left[0]
            allowed = {"allow": True, "violations": [], "looked": {}, "revision": revision}
            result = revision if self.path.split("?")[0].endswith("/revision") else allowed
            body = json.dumps({"result": result}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with served(server):
        yield Opa(f"http://127.0.0.1:{server.server_port}", "token")


OURS = Policies.read(opa.POLICIES).revision


@pytest.mark.parametrize("revision", ["v12", "checkout:feedfeedfeedfeed", OURS[:-1]])
def test_a_foreign_or_older_bundle_does_not_judge_a_local_stack(tmp_path: Path, revision: str) -> None:
    with saying(revision) as configured:
        assert judged_by(tmp_path, opa.POLICIES, configured) == "gate.opa_wrong_bundle"


def test_a_bundle_that_is_swapped_after_it_was_looked_at_does_not_judge(tmp_path: Path) -> None:
    with saying(OURS, "checkout:feedfeedfeedfeed") as configured:
        assert judged_by(tmp_path, opa.POLICIES, configured) == "gate.opa_wrong_bundle"
