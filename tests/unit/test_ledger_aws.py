"""Gate, record and look of a stack on AWS: on a real versitygw, a strict KMS and two Kubernetes APIs."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click.testing
import pytest
import yaml

from lockstep.audit.export import ExportFolder, export
from lockstep.audit.keyring import deployer_keys, read_keyring
from lockstep.audit.verify import verify
from lockstep.aws import stack as aws_stack
from lockstep.aws.service import Refused
from lockstep.aws.stack import AwsStack
from lockstep.cli.adopt import require_destroyed
from lockstep.cli.audit import command as audit_command
from lockstep.cli.context import Context
from lockstep.cli.promote import ahead, steps
from lockstep.cli.status import status
from lockstep.errors import Denied, IntegrityError, LockstepError, Unavailable, UsageError
from lockstep.evidence.pem import public_pem
from lockstep.provider.gate import PromotionGate
from lockstep.provider.kind import Call
from lockstep.provider.receipt import PromotionReceipt
from lockstep.provider.session import Session
from lockstep.targets import stack_of
from lockstep.workspace import Workspace
from tests.support import kube
from tests.support.cloud import BUCKET, ENVIRONMENT, FAR, HOME, Cloud, cloud

ROOT = Path(__file__).parents[2]


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """An account with a bucket, keys and their people, and no record yet."""
    monkeypatch.setenv("LOCKSTEP_ACTOR", "ann@laptop")
    monkeypatch.setattr(AwsStack, "patience_s", 0.2)
    with cloud(tmp_path, monkeypatch) as made:
        made.make_bucket()
        made.make_keys()
        made.put({})
        yield made


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """An account with nothing in it."""
    with cloud(tmp_path, monkeypatch) as made:
        made.write_people()
        yield made


# --- an update


def test_a_first_placement_is_gated_recorded_and_closed(account: Cloud) -> None:
    account.make(account.table())
    assert account.kinds() == ["intent", "outcome:complete"]
    state = account.ledger().state()
    assert state is not None
    assert state.table == account.table()
    assert state.standing == {"digits": {HOME: account.plain, FAR: account.plain}}
    assert state.ready["digits"][FAR] == {"blue": True, "green": False}
    intent = account.ledger().audit().log.read(0)  # type: ignore[union-attr]
    assert intent["actor"]["proven"]["person"] == "kms-records"
    assert intent["history"] is None
    assert "no file of this machine" in intent["history_reason"]


def test_the_log_verifies_offline_with_public_keys_alone(account: Cloud, tmp_path: Path) -> None:
    account.make(account.table())
    opened = account.ledger().audit()
    assert opened is not None
    folder = tmp_path / "export"
    deployers = {keyid: public_pem(key) for keyid, key in opened.trust.keys_of("deployer").items()}
    head = opened.log.head()
    export(opened.bucket, folder, head, opened.log_keys, deployers, signers=deployer_keys(opened.trust))
    ring = read_keyring([str(folder / "log.vkey"), str(folder / "deployers.vkey")])
    report = verify(
        ExportFolder(folder), ring.origin, ring.trust, ring.log_keys, head=head, now=datetime.now(UTC)
    )
    assert report.ok, report.problems
    assert ring.origin == "lockstep/staging"


def test_a_step_is_judged_by_the_rules_of_staging(account: Cloud) -> None:
    account.make(account.table())
    account.make(account.table(account.cell(account.better)))
    too_far = account.table(account.cell(account.better, 80))
    with pytest.raises(Denied) as caught:
        account.ledger().record_intent(too_far)
    assert {"step.size", "step.ladder"} <= {one.code for one in caught.value.violations}
    assert account.kinds()[-1] == "denied"
    account.make(account.table(account.cell(account.better, 5)))
    assert account.kinds()[-1] == "outcome:complete"


def test_a_route_that_envoy_gateway_has_not_taken_is_no_success(account: Cloud) -> None:
    account.make(account.table())
    step = account.table(account.cell(account.better))
    ledger = account.ledger()
    ledger.record_intent(step)
    account.put(step)
    for route in account.clusters[HOME].objects:
        if route["kind"] == "HTTPRoute":
            route["metadata"]["generation"] += 1
    with pytest.raises(LockstepError) as caught:
        ledger.record_outcome(2)
    assert caught.value.code == "receipt.not_in_force"
    assert account.kinds()[-1] == "outcome:interrupted"


def test_weights_that_somebody_set_by_hand_stop_every_other_change(account: Cloud) -> None:
    account.make(account.table())
    account.put(account.table(account.cell(account.better, 50)))
    with pytest.raises(Denied) as caught:
        account.ledger().due(account.table(None, account.cell(account.better)))
    assert "state.disagrees" in {one.code for one in caught.value.violations}


def test_a_route_that_is_gone_is_seen(account: Cloud) -> None:
    account.make(account.table())
    account.clusters[FAR].put()
    seen = account.stack.observe(account.table(), [HOME, FAR])
    assert seen.live[("digits", FAR)] == aws_stack.VACANT
    with pytest.raises(Denied) as caught:
        account.ledger().due(account.table(account.cell(account.better)))
    assert "state.disagrees" in {one.code for one in caught.value.violations}


# --- regions that do not answer


def test_an_unreachable_region_holds_up_no_rollback_in_the_others(account: Cloud) -> None:
    account.make(account.table())
    account.make(account.table(account.cell(account.better)))
    account.make(account.table(account.cell(account.better, 5)))
    account.clusters[FAR].status = 503
    back = account.table(account.cell(account.better))
    due = account.ledger().due(back)
    assert due is not None
    assert account.stack.observe(account.table(), [HOME, FAR]).live[("digits", FAR)] is None


def test_a_region_whose_port_is_closed_is_silent_too(account: Cloud, tmp_path: Path) -> None:
    file = tmp_path / "clusters.json"
    said = json.loads(file.read_text())
    said[FAR]["server"] = "https://127.0.0.1:9"
    file.write_text(json.dumps(said))
    seen = account.stack.observe(account.table(), [HOME, FAR])
    assert seen.live == {("digits", HOME): aws_stack.VACANT, ("digits", FAR): None}


def test_a_server_that_nobody_vouches_for_is_not_believed(account: Cloud, tmp_path: Path) -> None:
    account.put(account.table())
    file = tmp_path / "clusters.json"
    said = json.loads(file.read_text())
    said[FAR]["ca"] = said[HOME]["ca"]
    file.write_text(json.dumps(said))
    seen = account.stack.observe(account.table(), [HOME, FAR])
    assert seen.live == {("digits", HOME): account.cell(), ("digits", FAR): None}


@pytest.mark.parametrize("status", [401, 403])
def test_a_cluster_that_refuses_is_not_taken_for_a_silent_one(account: Cloud, status: int) -> None:
    account.clusters[FAR].status = status
    with pytest.raises(Unavailable) as caught:
        account.stack.observe(account.table(), [HOME, FAR])
    assert caught.value.code == "cluster.refused"
    assert FAR in caught.value.message


def test_a_wrong_token_is_a_refusal(account: Cloud, tmp_path: Path) -> None:
    account.clusters[FAR].token = "another"
    with pytest.raises(Unavailable, match=r"cluster\.refused"):
        account.stack.observe({}, [FAR])


def test_a_region_without_a_cluster_or_its_kinds_shows_nothing(account: Cloud) -> None:
    assert account.stack.observe({}, ["ap-southeast-1"]).live == {}
    account.clusters[FAR].missing = set(kube.KINDS.values())
    assert account.stack.observe({}, [FAR]).live == {}


def test_a_gateway_that_is_not_programmed_does_not_answer(account: Cloud) -> None:
    account.put(account.table())
    account.clusters[FAR].objects = account.clusters[FAR].objects[1:]
    assert account.stack.observe(account.table(), [FAR]).live == {("digits", FAR): None}
    account.clusters[FAR].objects = []
    assert account.stack.observe(account.table(), [FAR]).live == {("digits", FAR): None}


# --- what Envoy itself says


def test_a_proxy_that_hangs_on_an_older_route_is_no_success(account: Cloud) -> None:
    account.make(account.table())
    cluster = account.clusters[HOME]
    cluster.proxies["envoy-1"] = copy.deepcopy(cluster.objects[1:2])
    step = account.table(account.cell(account.better))
    ledger = account.ledger()
    ledger.record_intent(step)
    account.put(step, intent=2)
    with pytest.raises(LockstepError) as caught:
        ledger.record_outcome(2)
    assert caught.value.code == "receipt.not_in_force"
    assert account.kinds()[-1] == "outcome:interrupted"
    seen = account.stack.observe(account.table(), [HOME, FAR])
    assert list(seen.doubts) == [("digits", HOME)]
    said = "envoy-1 /v1/models/digits 100 % to digits-eu-central-1-blue by record 0"
    assert said in seen.doubts[("digits", HOME)]
    cluster.unready.add("envoy-1")
    assert account.stack.observe(account.table(), [HOME]).live[("digits", HOME)] == step["digits"][HOME]


REFUSED = "may not be asked with these credentials"


@pytest.mark.parametrize(("status", "said"), [(503, "HTTP 503"), (404, "HTTP 404"), (403, REFUSED)])
def test_a_proxy_that_does_not_say_what_it_routes_leaves_the_region_unknown(
    account: Cloud, status: int, said: str
) -> None:
    account.make(account.table())
    account.clusters[FAR].proxies["envoy-1"] = status
    seen = account.stack.observe(account.table(), [HOME, FAR])
    assert seen.live == {("digits", HOME): account.cell(), ("digits", FAR): None}
    assert seen.doubts[("digits", FAR)].startswith("envoy-1 ") and said in seen.doubts[("digits", FAR)]
    assert account.ledger().due(account.table(account.cell(account.better))) is not None


def test_a_gateway_without_a_ready_proxy_is_not_known(account: Cloud) -> None:
    account.put(account.table())
    account.clusters[FAR].unready.add("envoy-0")
    seen = account.stack.observe(account.table(), [HOME, FAR])
    assert seen.live == {("digits", HOME): account.cell(), ("digits", FAR): None}
    assert "no proxy" in seen.doubts[("digits", FAR)]


def test_a_proxy_that_still_routes_what_is_gone_leaves_the_place_unknown(account: Cloud) -> None:
    account.make(account.table())
    cluster = account.clusters[FAR]
    cluster.proxies["envoy-0"] = cluster.objects[1:2]
    cluster.put()
    seen = account.stack.observe(account.table(), [FAR])
    assert seen.live == {("digits", FAR): None}
    assert "routes that nobody declared" in seen.doubts[("digits", FAR)]


def test_proxies_are_given_no_more_time_than_there_is(
    account: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.put(account.table())
    monkeypatch.setattr(aws_stack, "PROXIES_S", 0.0)
    seen = account.stack.observe(account.table(), [HOME])
    assert seen.doubts == {("digits", HOME): "envoy-0 was not asked in time"}


def test_a_region_that_answers_and_has_not_taken_a_route_says_so(account: Cloud) -> None:
    account.put(account.table())
    account.clusters[FAR].objects[1]["metadata"]["generation"] += 1
    seen = account.stack.observe(account.table(), [FAR])
    assert seen.doubts == {("digits", FAR): "Envoy Gateway has not taken its route"}
    account.clusters[FAR].objects = []
    seen = account.stack.observe(account.table(), [FAR])
    assert seen.doubts == {("digits", FAR): "the gateway is not programmed"}


def test_long_lists_are_read_to_their_end(account: Cloud) -> None:
    cluster = account.clusters[HOME]
    models = [f"model-{index}" for index in range(5)]
    cluster.put(*(item for model in models for item in kube.placed(model, HOME, account.cell())))
    cluster.page = 2
    seen = account.stack.observe({}, [HOME])
    assert set(seen.live) == {(model, HOME) for model in models} == set(seen.serving)


def test_a_file_of_clusters_that_says_nothing_is_named(account: Cloud, tmp_path: Path) -> None:
    (tmp_path / "clusters.json").write_text(json.dumps({HOME: {"server": "https://127.0.0.1:1"}}))
    with pytest.raises(UsageError) as caught:
        account.stack.observe({}, [HOME])
    assert caught.value.code == "aws.clusters_file"


# --- the log


def test_no_bucket_yet_is_no_log_and_everything_is_a_first_placement(bare: Cloud) -> None:
    ledger = bare.ledger()
    assert ledger.audit() is None
    assert ledger.state() is None
    due = ledger.due(bare.table())
    assert due is not None
    assert due.change == "first"
    with pytest.raises(Unavailable) as caught:
        ledger.record_intent(bare.table())
    assert caught.value.code == "audit.absent"


def test_a_bucket_that_is_gone_is_no_fresh_start(account: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    account.make(account.table())
    ledger = replace(account.ledger(), bucket="lockstep-audit-another")
    with pytest.raises(IntegrityError) as caught:
        ledger.state()
    assert caught.value.code == "audit.log_gone"


def test_a_bucket_without_object_lock_takes_no_record(bare: Cloud) -> None:
    bare.make_keys()
    assert bare.server.bucket(BUCKET)._ask("PUT").status == 200
    with pytest.raises(IntegrityError) as caught:
        bare.ledger().record_intent(bare.table())
    assert caught.value.code == "audit.no_object_lock"


def test_without_credentials_nothing_is_asked(
    account: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")  # asking it would be another error
    with pytest.raises(UsageError) as caught:
        account.ledger().state()
    assert caught.value.code == "aws.no_credentials"
    assert "AWS_ACCESS_KEY_ID" in caught.value.message


def test_credentials_come_from_a_profile_too(
    account: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    account.make(account.table())
    file = tmp_path / "credentials"
    file.write_text(
        f"[work]\naws_access_key_id = {account.kms.access}\naws_secret_access_key = {account.kms.secret}\n"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "work")
    account.make(account.table(account.cell(account.better)))
    assert len(account.kinds()) == 4


def test_a_key_that_nobody_has_signs_no_record(account: Cloud) -> None:
    account.kms.make("alias/lockstep-staging-records", "ECC_NIST_P256")
    account.kms.make("alias/lockstep-staging-heads", "ECC_NIST_EDWARDS25519")
    with pytest.raises(UsageError) as caught:
        account.ledger().record_intent(account.table())
    assert caught.value.code == "keys.untrusted"
    assert "Sign" not in account.kms.asked
    assert account.kinds() == []


@pytest.mark.parametrize("others", [False, True])
def test_the_lines_that_are_printed_are_what_makes_the_keys_trusted(account: Cloud, others: bool) -> None:
    """Put in where the remedy says, as they are, whoever is there already."""
    for noun, spec in (("records", "ECC_NIST_P256"), ("heads", "ECC_NIST_EDWARDS25519")):
        account.kms.make(f"alias/lockstep-staging-{noun}", spec)
    if not others:
        account.people.clear()
        account.write_people()
    with pytest.raises(UsageError) as caught:
        account.ledger().audit(write=True)
    assert '"staging": { "people": {' in caught.value.remedy
    _, _, lines = caught.value.remedy.partition("\n")
    file = account.paths.policies / "data" / "roles.json"
    before, place, after = file.read_text().partition('"staging": {"people": {')
    file.write_text(before + place + lines + after)
    assert account.ledger().audit(write=True) is not None


def test_whoever_may_not_sign_changes_nothing(account: Cloud) -> None:
    account.kms.faults = [(400, "AccessDeniedException")]
    with pytest.raises(Refused, match="AccessDeniedException"):
        account.ledger().record_intent(account.table())
    assert account.kinds() == []


def test_wrong_credentials_are_no_absent_log(account: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(Unavailable) as caught:
        account.ledger().state()
    assert caught.value.code == "audit.bucket_refused"


def test_a_silent_bucket_is_no_absent_log(account: Cloud) -> None:
    account.server.stop()
    with pytest.raises(Unavailable) as caught:
        account.ledger().state()
    assert caught.value.code == "audit.bucket_unreachable"


# --- leaving


def test_a_destroy_is_recorded_although_the_clusters_are_gone(account: Cloud) -> None:
    account.make(account.table())
    account.ledger().record_withdrawal(allowed=True)
    for cluster in account.clusters.values():
        cluster.missing, cluster.objects = set(kube.KINDS.values()), []
    account.ledger().record_withdrawn()
    assert account.kinds()[-2:] == ["intent", "outcome:complete"]
    again = account.ledger().due(account.table())
    assert again is not None


def test_a_log_that_has_releases_is_no_destroyed_stacks(account: Cloud) -> None:
    """Whoever points to another state than the stack's own would make all of it a second time."""
    require_destroyed(account.ledger().state(), ENVIRONMENT)
    account.make(account.table())
    with pytest.raises(UsageError) as caught:
        require_destroyed(account.ledger().state(), ENVIRONMENT)
    assert caught.value.code == "adopt.in_force"
    assert f"digits in {HOME}, digits in {FAR}" in caught.value.message
    ledger = account.ledger()
    ledger.record_withdrawal(allowed=True)
    with pytest.raises(UsageError, match="digits in"):
        require_destroyed(account.ledger().state(), ENVIRONMENT)
    account.put({})
    account.ledger().record_withdrawn()
    require_destroyed(account.ledger().state(), ENVIRONMENT)


def test_gate_and_receipt_find_the_log_by_their_inputs(account: Cloud) -> None:
    session = Session(account.paths)
    common = {
        "environment": ENVIRONMENT,
        "target": "aws",
        "home": HOME,
        "bucket": BUCKET,
        "retention_days": 1,
    }
    common["allow_destroy"] = False
    gate = Call(session, f"urn:pulumi:{ENVIRONMENT}::lockstep::lockstep:index:PromotionGate::gate")
    receipt = Call(session, f"urn:pulumi:{ENVIRONMENT}::lockstep::lockstep:index:PromotionReceipt::receipt")
    declared = {**common, "table": account.table(), "store": "", "opa_url": ""}
    assert PromotionGate().check(gate, declared) == []
    identity, given = PromotionGate().create(gate, declared)
    assert identity == "lockstep/staging/gate/0"
    account.put(account.table())
    _, closed = PromotionReceipt().create(receipt, {**common, "intent": given["intent"]})
    assert (closed["outcome"], closed["head_size"]) == (1, 2)
    assert account.kinds() == ["intent", "outcome:complete"]


def test_the_target_says_which_stack_it_is(account: Cloud) -> None:
    made = stack_of(account.paths, "staging", target="aws", environment=ENVIRONMENT, home=HOME)
    assert made == account.stack
    with pytest.raises(UsageError) as caught:
        stack_of(account.paths, "staging", target="moon", environment=ENVIRONMENT, home=HOME)
    assert caught.value.code == "config.no_target"


# --- commands


@pytest.fixture
def checkout(account: Cloud) -> Cloud:
    """The account, and a checkout with a stack file that declares what is live there."""
    shutil.copy2(ROOT / "Pulumi.yaml", account.paths.root / "Pulumi.yaml")
    values = yaml.safe_load((ROOT / "Pulumi.staging.yaml").read_text())
    config = values["config"]
    config["lockstep:regions"] = [each for each in config["lockstep:regions"] if each["name"] in (HOME, FAR)]
    config["lockstep:models"] = account.table()
    config["lockstep:audit"] |= {"bucket": BUCKET, "retention_days": 1}
    config["lockstep:store"] = account.paths.store.as_uri()
    (account.paths.root / "Pulumi.staging.yaml").write_text(yaml.safe_dump(values))
    account.make(account.table())
    return account


def audit(account: Cloud, *args: str) -> click.testing.Result:
    result = click.testing.CliRunner().invoke(audit_command, [*args, "-s", "staging"], obj=account.paths)
    if isinstance(result.exception, LockstepError):
        raise result.exception
    return result


def test_status_shows_a_stack_in_the_cloud(checkout: Cloud) -> None:
    shown = status(Context(Workspace(checkout.paths, "staging")))
    assert shown["entrypoint"] == "https://staging.vision.example.com"
    assert shown["up"]
    assert [(each["name"], each["healthy"], each["problems"]) for each in shown["regions"]] == [
        (HOME, True, []),
        (FAR, True, []),
    ]
    assert shown["drift"] == []


def test_status_names_the_region_that_does_not_answer(checkout: Cloud) -> None:
    checkout.clusters[FAR].status = 503
    shown = status(Context(Workspace(checkout.paths, "staging")))
    assert shown["up"]
    far = next(each for each in shown["regions"] if each["name"] == FAR)
    assert (far["healthy"], far["problems"]) == (False, ["the gateway does not answer"])


def test_status_and_verify_name_the_proxy_that_says_otherwise(checkout: Cloud) -> None:
    cluster = checkout.clusters[FAR]
    stale = copy.deepcopy(cluster.objects[1])
    stale["spec"]["rules"][0]["filters"][0]["responseHeaderModifier"]["set"][0]["value"] = "9"
    cluster.proxies["envoy-1"] = [stale]
    shown = status(Context(Workspace(checkout.paths, "staging")))
    far = next(each for each in shown["regions"] if each["name"] == FAR)
    said = "envoy-1 /v1/models/digits 100 % to digits-us-east-1-blue by record 9"
    assert not far["healthy"]
    assert far["problems"][0].startswith(said)
    result = click.testing.CliRunner().invoke(audit_command, ["verify", "-s", "staging"], obj=checkout.paths)
    assert result.exit_code != 0
    assert f"nobody can tell what digits in us-east-1 routes: {said}" in result.output + str(result.exception)


def test_a_proxy_that_hangs_keeps_its_region_in_the_update(checkout: Cloud) -> None:
    checkout.clusters[FAR].proxies["envoy-1"] = 503
    context = Context(Workspace(checkout.paths, "staging"))
    assert context.change._around_silence("digits", checkout.table()) == ()
    checkout.clusters[FAR].status = 503
    only = context.change._around_silence("digits", checkout.table())
    assert only
    assert not any(FAR in each for each in only)


def test_status_speaks_although_a_region_is_odd(checkout: Cloud) -> None:
    stranger = copy.deepcopy(checkout.clusters[FAR].objects[1])
    stranger["metadata"] |= {"name": "stranger", "labels": {}}
    checkout.clusters[FAR].objects.append(stranger)
    shown = status(Context(Workspace(checkout.paths, "staging")))
    assert "the gateway of us-east-1" in shown["odd"]


def test_a_promotion_asks_the_rules_of_staging_ahead(checkout: Cloud) -> None:
    context = Context(Workspace(checkout.paths, "staging"))
    assert len(steps(context, "digits", checkout.better, (HOME,), 5)) == 2
    ahead(context, "digits", checkout.better, (HOME,), 5, record=False)
    with pytest.raises(Denied):
        ahead(context, "digits", checkout.better, (HOME,), 80, record=True)
    assert checkout.kinds()[-1] == "denied"


def test_the_audit_verbs_read_the_bucket_of_the_stack(checkout: Cloud, tmp_path: Path) -> None:
    assert "2 records in" in audit(checkout, "verify").stdout
    assert "record 0" in audit(checkout, "show", "0").stdout
    folder = tmp_path / "out"
    audit(checkout, "export", str(folder))
    keys = [
        line for option in ((), ("--deployers",)) for line in audit(checkout, "key", *option).stdout.split()
    ]
    given = [part for key in keys for part in ("--key", key)]
    assert audit(checkout, "verify", "--from", str(folder), *given).exit_code == 0


def test_weights_that_no_record_explains_are_a_problem_of_the_log(checkout: Cloud) -> None:
    checkout.put(checkout.table(checkout.cell(checkout.better, 50)))
    result = audit(checkout, "verify", "--output", "json")
    assert result.exit_code == 1
    assert [one["code"] for one in json.loads(result.stdout)["problems"]] == ["audit.live_unrecorded"]


def test_renewing_the_locks_of_a_cloud_log_is_recorded(checkout: Cloud) -> None:
    keep_for(checkout, 9)
    result = audit(checkout, "renew", "--days", "9")
    assert result.exit_code == 0, result.output
    assert checkout.kinds()[-1] == "renewed"


def keep_for(account: Cloud, days: int) -> None:
    """Declare another retention, which is what the bucket's policy then takes."""
    file = account.paths.root / "Pulumi.staging.yaml"
    values = yaml.safe_load(file.read_text())
    values["config"]["lockstep:audit"]["retention_days"] = days
    file.write_text(yaml.safe_dump(values))


@pytest.mark.parametrize("days", [8, 10])
def test_a_renewal_that_the_seal_would_refuse_is_not_begun(checkout: Cloud, days: int) -> None:
    """A `renewed` record would promise locks that the bucket then does not take."""
    keep_for(checkout, 9)
    kinds = checkout.kinds()
    with pytest.raises(UsageError) as caught:
        audit(checkout, "renew", "--days", str(days))
    assert caught.value.code == "audit.sealed_days"
    assert "takes locks of 9 days" in caught.value.message
    assert checkout.kinds() == kinds


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_pruning_a_sealed_log_is_refused_with_the_reason(checkout: Cloud, more: tuple[str, ...]) -> None:
    kinds = checkout.kinds()
    with pytest.raises(UsageError) as caught:
        audit(checkout, "prune", "--before", "1", "--reason", "old", "--yes", *more)
    assert caught.value.code == "audit.sealed"
    assert "lets nobody delete a record" in caught.value.message
    assert checkout.kinds() == kinds


def test_keys_that_nobody_has_yet_are_said_to_be_missing(checkout: Cloud) -> None:
    checkout.people.clear()
    checkout.write_people()
    with pytest.raises(UsageError) as caught:
        audit(checkout, "key")
    assert caught.value.code == "keys.nobody"
