"""check: every wrong word of a cloud stack's file, found before any preview, and all of them at once."""

from __future__ import annotations

import copy
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from lockstep.checks import Problem, notes, problems
from lockstep.cli.__main__ import run
from lockstep.errors import UsageError
from lockstep.paths import Paths
from lockstep.workspace import Workspace
from tests.support.loopback import Handler, served

ROOT = Path(__file__).parents[2]
Config = dict[str, Any]
Edit = Callable[[Config], None]


class Checked:
    """A checkout that has nothing but stack files."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (root / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
        self.workspace = Workspace(Paths(root=root, state=root / "state"), "staging")
        self.good: Config = yaml.safe_load((ROOT / "Pulumi.staging.yaml").read_text())["config"]
        self.program = root / "bin" / "aws"
        self.program.parent.mkdir()
        self.program.write_text("#!/bin/sh\n")
        self.program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{self.program.parent}")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(root / "no-config"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(root / "no-credentials"))
        for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        self.monkeypatch = monkeypatch

    def problems(self, *edits: Edit) -> list[Problem]:
        values = copy.deepcopy(self.good)
        for edit in edits:
            edit(values)
        self.workspace.file.path.write_text(yaml.safe_dump({"config": values}))
        return problems(self.workspace)

    def said(self, *edits: Edit) -> list[str]:
        """What is wrong beyond what this machine lacks."""
        machine = ("plugin.missing", "aws.no_credentials")
        return [f"{each.code}: {each.message}" for each in self.problems(*edits) if each.code not in machine]


@dataclass
class Account:
    """values: quota code -> vCPUs that were set; defaults: AWS's; refusal: what is answered instead; asked:
    (region, code) each time."""

    values: dict[str, float] = field(default_factory=dict)
    defaults: dict[str, float] = field(default_factory=dict)
    refusal: tuple[int, Any] | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, headers: dict[str, str], question: dict[str, str]) -> tuple[int, Any]:
        sent = {name.lower(): value for name, value in headers.items()}
        operation = sent["x-amz-target"].removeprefix("ServiceQuotasV20190624.")
        known = {"GetServiceQuota": self.values, "GetAWSDefaultServiceQuota": self.defaults}[operation]
        assert question["ServiceCode"] == "ec2"
        _, _, region, service, _ = sent["authorization"].split("Credential=")[1].split(",")[0].split("/")
        assert service == "servicequotas"
        self.asked.append((region, question["QuotaCode"]))
        if self.refusal:
            return self.refusal
        if question["QuotaCode"] not in known:
            return 400, {"__type": "NoSuchResourceException"}
        return 200, {"Quota": {"QuotaName": "spot", "Value": known[question["QuotaCode"]]}}


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checked:
    return Checked(tmp_path, monkeypatch)


def put(path: str, value: Any) -> Edit:
    """Sets `key.of.a[0].value` of a config."""

    def edit(values: Config) -> None:
        *parts, last = path.replace("[", ".").replace("]", "").split(".")
        at: Any = values
        for part in (f"lockstep:{parts[0]}", *parts[1:]) if parts else ():
            at = at[int(part)] if part.isdigit() else at[part]
        at[int(last) if last.isdigit() else last if parts else f"lockstep:{last}"] = value

    return edit


WRONG: list[tuple[str, Any, str]] = [
    ("regions[1].name", "us-east-7", "'us-east-7' is no region that Lockstep knows"),
    ("regions[1].cidr", "10.16.128.0/17", "overlaps 10.16.0.0/16 of eu-central-1"),
    ("regions[1].cidr", "8.8.0.0/16", "is not a private IPv4 block"),
    ("regions[1].cidr", "10.17.0.0/24", "is not between /16 and /20"),
    ("regions[1].cidr", "10.17.0.1/16", "is not a private IPv4 block"),
    ("account", "12345", "is not an account number (12 digits)"),
    ("network.nat", "one", "'one' is not one of none, region, zone"),
    ("network.flow_log_days", 31, "31 is not one of 1, 3, 5"),
    ("cluster.version", 1.34, "1.34 is not a Kubernetes version"),
    ("cluster.endpoint", "public", "'public' is neither private nor a list"),
    ("cluster.endpoint", ["0.0.0.0/0"], "is not an IPv4 block narrower than everybody"),
    ("cluster.endpoint", [], "[] is neither private nor a list"),
    ("cluster.log_days", True, "True is not one of"),
    ("capacity.by", "ec2", "'ec2' is not one of auto, karpenter, managed"),
    ("capacity.instance_types", [], "names no instance type"),
    ("capacity.instance_types", ["g4ad.xlarge"], "no instance type with an NVIDIA GPU"),
    ("capacity.instance_types", ["p5.48xlarge"], "does not offer p5.48xlarge"),
    ("capacity.max", 0, "0 is not a whole number from 1 to 1000"),
    ("capacity.min", 9, "4 is below min, 9"),
    ("capacity.spot_percent", 101, "101 is not a whole number from 0 to 100"),
    ("capacity.reservation", "cr-1", "is not a capacity reservation"),
    ("capacity.sharing", "mps", "'mps' is not one of none, mig, time-slicing, dra"),
    ("capacity.slices", 4, "4 does not go with sharing none"),
    ("services.digits.max", 0, "0 is not a whole number from 1 to 1000"),
    ("services.digits.min", 7, "2 is below min, 7"),
    ("services.digits.gpus", 8, "asks for 8 GPUs a pod"),
    ("services.digits.cpu", "2", "'2' is not a number from 0.1 to 192"),
    ("services.digits.gpu", 1, "lockstep:services.digits.gpu: unknown key"),
    ("services.digits.jurisdictions", ["eu"], "digits may lie in eu only, and us-east-1 is in us"),
    ("services.digits.jurisdictions", ["br"], "digits may lie in br only, and eu-central-1 is in eu"),
    ("services.faces", {}, "lockstep:services.faces: unknown key"),
    ("images", {"sha256:" + "a" * 64: "repository/serving:v3"}, "is not an image by digest"),
    ("images", {"v3": "repository/serving@sha256:" + "a" * 64}, "is not the digest of a lock file"),
    ("entry.by", "cloudfront", "'cloudfront' is not one of latency, accelerator"),
    ("entry.domain", "vision", "'vision' is not a domain"),
    ("entry.zone", None, "is not the id of the Route 53 zone that holds staging.vision.example.com"),
    ("registry.bucket", "Releases", "'Releases' is not a bucket name"),
    ("identity.repository", "vision", "'vision' is not owner/name"),
    ("audit.replica", None, "lockstep:audit.replica: must be a mapping"),
    ("audit.replica.region", "eu-central-1", "a copy belongs in another region"),
    ("audit.replica.region", "eu-central-9", "'eu-central-9' is no region that Lockstep knows"),
    ("audit.replica.account", "7", "is not an account number"),
    ("audit.retention_days", 0, "0 is not a whole number from 1 to 36500"),
    ("target", "gcp", "'gcp' is not one of local, aws"),
]


def test_the_committed_stacks_have_nothing_wrong_but_what_this_machine_lacks(checked: Checked) -> None:
    assert checked.said() == []
    assert {each.code for each in checked.problems()} == {"plugin.missing", "aws.no_credentials"}


@pytest.mark.parametrize(
    ("path", "value", "said"), WRONG, ids=[f"{path}={value}" for path, value, _ in WRONG]
)
def test_a_wrong_value_is_said_with_its_key(checked: Checked, path: str, value: Any, said: str) -> None:
    found = checked.said(put(path, value))
    assert any(said in each for each in found), found


def test_everything_wrong_is_said_at_once(checked: Checked) -> None:
    edits = [
        put(path, value) for path, value, _ in WRONG if path in ("regions[1].name", "entry.zone", "account")
    ]
    found = checked.problems(*edits, put("capacity.min", 9))
    messages = "\n".join(each.message for each in found)
    for said in ("us-east-7", "Route 53 zone", "account number", "below min", "plugin aws", "credentials"):
        assert said in messages, messages
    assert all(each.remedy for each in found)


@pytest.mark.parametrize(
    ("capacity", "code"),
    [
        ({"sharing": "time-slicing", "slices": 4}, "capacity.auto_sharing"),
        ({"sharing": "dra"}, "capacity.auto_sharing"),
        ({"sharing": "mig", "slices": 2, "by": "managed"}, "capacity.mig_gpu"),
        ({"max": 1}, "capacity.too_small"),
    ],
)
def test_pairs_that_cannot_work_are_refused(checked: Checked, capacity: Config, code: str) -> None:
    edits = [put(f"capacity.{key}", value) for key, value in capacity.items()]
    assert any(each.startswith(f"{code}:") for each in checked.said(*edits))


def test_a_name_that_kubernetes_does_not_take_is_refused(checked: Checked) -> None:
    long = "a" * 39 + "b"
    model = checked.good["lockstep:models"]["digits"]
    found = checked.said(put("models", {long: model}), put("services", {}))
    assert [each for each in found if "names of 61 letters" in each] == []
    longer = {"ap-northeast-1-and-then-some": model["ap-northeast-1"]}
    assert any("63 are the most" in each for each in checked.said(put("models", {long: longer})))


def test_a_local_stack_has_no_networks(checked: Checked) -> None:
    assert any("unknown key" in each for each in checked.said(put("target", "local")))


def state(checked: Checked, **inputs: Any) -> None:
    """An engine's state with a gate that was given these inputs."""
    gate = {"type": "lockstep:index:PromotionGate", "inputs": inputs}
    file = checked.workspace.state_file
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"checkpoint": {"latest": {"resources": [gate]}}}))


def test_a_retention_shorter_than_before_is_refused(checked: Checked) -> None:
    state(checked, target="aws", retention_days=91.0)
    assert [each.partition(":")[0] for each in checked.said()] == ["audit.shorter_retention"]
    assert checked.said(put("audit.retention_days", 91)) == []


def test_a_stack_that_runs_elsewhere_is_refused(checked: Checked) -> None:
    state(checked, target="local", retention_days=1)
    assert [each.partition(":")[0] for each in checked.said()] == ["stack.other_target"]


def test_a_plugin_for_which_the_project_names_a_folder_need_not_be_installed(checked: Checked) -> None:
    file = checked.workspace.file.project_file
    project = yaml.safe_load(file.read_text())
    project["plugins"]["providers"].append({"name": "aws", "path": "elsewhere"})
    file.write_text(yaml.safe_dump(project))
    (missing,) = [each for each in checked.problems() if each.code == "plugin.missing"]
    assert "plugin kubernetes" in missing.message


def test_a_plugin_that_is_installed_and_credentials_that_are_there_are_no_problem(checked: Checked) -> None:
    from lockstep.checks.machine import PLUGINS, metadata

    for name, package in PLUGINS.items():
        folder = checked.workspace.paths.state / "pulumi" / "plugins"
        (folder / f"resource-{name}-v{metadata.version(package)}").mkdir(parents=True)
    checked.monkeypatch.setenv("AWS_ACCESS_KEY_ID", "example")
    checked.monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    assert checked.problems() == []


def reached(checked: Checked, **servers: str) -> list[str]:
    """What check says when the clusters are at these places. Keys are regions with `_` for `-`."""
    root = checked.workspace.paths.root
    clusters = {
        name.replace("_", "-"): {"server": url, "token": "t", "ca": "c"} for name, url in servers.items()
    }
    (root / "clusters.json").write_text(json.dumps(clusters))
    checked.monkeypatch.setenv("LOCKSTEP_CLUSTERS", str(root / "clusters.json"))
    checked.monkeypatch.setenv("AWS_ACCESS_KEY_ID", "example")
    checked.monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    checked.problems()
    return [f"{each.code}: {each.message}" for each in problems(checked.workspace, reach=True)]


def test_a_cluster_that_this_machine_cannot_reach_is_named(checked: Checked) -> None:
    with socket.create_server(("127.0.0.1", 0)) as there:
        reachable = f"https://127.0.0.1:{there.getsockname()[1]}"
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        found = reached(checked, eu_central_1=reachable, us_east_1=f"https://127.0.0.1:{port}")
    about = [each for each in found if each.startswith("cluster.unreachable")]
    assert len(about) == 1
    assert "the cluster of us-east-1 at 127.0.0.1 cannot be reached" in about[0]


def test_an_update_does_not_wait_for_a_region_that_does_not_answer(checked: Checked) -> None:
    reached(checked, us_east_1="https://127.0.0.1:1")
    assert {each.code for each in problems(checked.workspace)} == {"plugin.missing"}


def test_a_plan_that_goes_by_surge_is_told_and_is_not_wrong(checked: Checked) -> None:
    checked.problems()
    assert any("a promotion goes by surge" in each for each in notes(checked.workspace))
    assert any("32 vCPUs are needed" in each for each in notes(checked.workspace))
    checked.problems(put("capacity.max", 6))
    assert not any("by surge" in each for each in notes(checked.workspace))


@pytest.fixture
def account(checked: Checked) -> Iterator[Account]:
    """Service Quotas on this machine, for every region, and credentials for it."""
    made = Account()

    class Quotas(Handler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            status, value = made.answer(dict(self.headers.items()), json.loads(self.rfile.read(length)))
            self.say(status, value)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Quotas)
    checked.monkeypatch.setenv(
        "AWS_ENDPOINT_URL_SERVICEQUOTAS", f"http://127.0.0.1:{server.server_address[1]}"
    )
    checked.monkeypatch.setenv("AWS_ACCESS_KEY_ID", "example")
    checked.monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    checked.problems(
        put("capacity.max", 6),
        put("capacity.spot_percent", 50),
        put("cluster.endpoint", ["192.0.2.0/24"]),
        put("runtime", "tensorrt"),
    )
    with served(server):
        yield made


def told(checked: Checked) -> list[str]:
    """What check says of the home region when it may ask."""
    return [each for each in notes(checked.workspace, reach=True) if each.startswith("eu-central-1")]


def test_the_account_is_asked_what_its_quotas_allow(checked: Checked, account: Account) -> None:
    account.values = {"L-DB2E81BA": 1000.0, "L-3819A6DF": 1000.0}
    assert notes(checked.workspace, reach=True) == []
    regions = [each["name"] for each in checked.good["lockstep:regions"]]
    assert sorted(account.asked) == sorted((each, code) for each in regions for code in account.values)
    account.values["L-3819A6DF"] = 7
    (said,) = told(checked)
    assert "quota L-3819A6DF (spot) allows 7 vCPUs, and 2 spot nodes need 16" in said
    assert "that leaves 4; a promotion goes by surge" in said


def test_a_quota_that_nobody_set_is_the_default(checked: Checked, account: Account) -> None:
    account.values, account.defaults = {"L-DB2E81BA": 1000.0}, {"L-3819A6DF": 0.0, "L-DB2E81BA": 0.0}
    (said,) = told(checked)
    assert "quota L-3819A6DF (spot) allows 0 vCPUs" in said
    account.defaults = {}
    (said,) = told(checked)
    assert "is not known (servicequotas in eu-central-1 refused: NoSuchResourceException)" in said


@pytest.mark.parametrize(
    ("refusal", "why"),
    [
        ((400, {"__type": "AccessDeniedException"}), "refused: AccessDeniedException"),
        ((503, {}), "does not answer: HTTP 503"),
        ((200, {"Quota": {"QuotaName": "words", "Value": "many"}}), "the answer has no number"),
        ((200, {"Quota": None}), "the answer has no number"),
    ],
)
def test_an_account_that_does_not_say_is_a_note(
    checked: Checked, account: Account, refusal: tuple[int, Any], why: str
) -> None:
    account.refusal = refusal
    said = told(checked)
    assert [each.split()[2] for each in said] == ["L-DB2E81BA", "L-3819A6DF"]
    assert all("is not known (" in each and why in each for each in said)


def test_an_account_that_does_not_answer_is_asked_once_a_region(checked: Checked, account: Account) -> None:
    account.refusal = (503, {})
    notes(checked.workspace, reach=True)
    assert len(account.asked) == len(checked.good["lockstep:regions"])


def test_nobody_is_asked_before_an_update_or_without_credentials(checked: Checked, account: Account) -> None:
    notes(checked.workspace)
    checked.monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert all("nobody asked" in each for each in told(checked))
    assert account.asked == []


def test_the_program_refuses_what_check_refuses(checked: Checked) -> None:
    """Plain `pulumi up` asks no check."""
    from infra.aws.plan_rules import require

    checked.problems(put("capacity.max", 1))
    settings = checked.workspace.file.settings()
    assert settings.cloud is not None
    with pytest.raises(UsageError, match=r"capacity\.too_small"):
        require(settings, settings.cloud)
    checked.problems()
    settings = checked.workspace.file.settings()
    assert settings.cloud is not None
    require(settings, settings.cloud)


def test_a_profile_that_is_not_there_is_named(checked: Checked) -> None:
    checked.monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert any("in the profile nobody" in each.message for each in checked.problems())


def test_the_command_says_it_in_words_and_as_a_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], checked: Checked
) -> None:
    monkeypatch.setenv("LOCKSTEP_STATE", str(checked.workspace.paths.state))  # no plugins there
    assert run(["check", "staging", "--output", "json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "lockstep.check/1"
    assert not document["ok"]
    assert {each["code"] for each in document["problems"]} == {"plugin.missing", "aws.no_credentials"}
    assert run(["check", "staging"]) == 2
    said = capsys.readouterr().out
    assert said.count("next:") == 3
    assert said.endswith("3 problems\n")


def test_a_stack_without_a_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "nowhere"]) == 2
    assert "there is no Pulumi.nowhere.yaml" in capsys.readouterr().err


def test_the_program_that_gets_tokens_is_missed(checked: Checked) -> None:
    checked.program.unlink()
    (missing,) = [each for each in checked.problems() if each.code == "aws.no_program"]
    assert "AWS CLI" in missing.remedy


@pytest.mark.parametrize(
    "url", ["s3://team/x", "s3://{own}?region=us-east-1", "s3://{own}?endpoint=https://x.test"]
)
def test_a_store_that_no_pod_may_read_is_refused(checked: Checked, url: str) -> None:
    """It would also lie where no jurisdiction was asked about."""
    own = checked.good["lockstep:registry"]["bucket"]
    (said,) = checked.said(put("store", url.format(own=own)))
    assert said.startswith("store.elsewhere: ")
    assert checked.said(put("store", f"s3://{own}?region=eu-central-1")) == []


def test_what_an_update_from_here_would_meet_is_told(checked: Checked) -> None:
    def told(*edits: Edit) -> list[str]:
        assert checked.said(*edits) == []
        return [each for each in notes(checked.workspace) if "quota" not in each and "surge" not in each]

    private, on_cpu = told()
    assert "cluster.endpoint is private" in private
    assert "lockstep:runtime: onnx runs on the CPU" in on_cpu
    assert told(put("cluster.endpoint", ["192.0.2.0/24"]), put("runtime", "tensorrt")) == []
    assert "no pod can read" in told(put("store", "file:///releases"))[1]
