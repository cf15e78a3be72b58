"""The life of a stack in the cloud, by the user's own commands: stand-ins for the providers, a kube-apiserver
in each region, and a log that is really kept, locked and signed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from lockstep.local.httproute import ANNOTATION
from lockstep.table import Cell
from lockstep.toolchain import Toolchain, ensure
from tests.support.aws_life import DEPLOYMENTS, FAR, HOME, MODEL, STEP, Life, life
from tests.support.kept_state import keep_if_asked


@pytest.fixture(scope="module")
def toolchain() -> Toolchain:
    return ensure(lambda line: click.echo(line, err=True))


@pytest.fixture
def staging(tmp_path: Path, toolchain: Toolchain) -> Iterator[Life]:
    with life(tmp_path, "staging", [HOME, FAR], toolchain) as made:
        yield made


@pytest.fixture
def prod(tmp_path: Path, toolchain: Toolchain) -> Iterator[Life]:
    with life(tmp_path, "prod", [HOME], toolchain) as made:
        yield made


def cell(stack: Life, green: str | None = None, weight: float = 0) -> Cell:
    return {"blue": stack.plain, "green": green, "green_weight": weight}


def test_the_life_of_a_stack_in_two_regions(staging: Life) -> None:
    keys_made_and_trusted(staging)
    brought_up_empty(staging)
    a_release_is_placed(staging)
    a_candidate_gets_its_first_traffic(staging)
    an_update_that_fails_is_recorded_and_repaired(staging)
    a_region_is_cut_off_and_the_other_rolls_back(staging)
    weights_set_by_hand_are_seen_and_taken_back(staging)
    destroyed_in_order_and_taken_up_again(staging)


def keys_made_and_trusted(stack: Life) -> None:
    """The first `up` ends before anything that would need a record; what it prints is all that it lacks."""
    assert f"nothing is wrong with {stack.stack}\n" in stack.run("check", stack.stack).stdout
    said = stack.first_up()
    assert "[engine.failed]" in said and "[keys.untrusted]" in said
    assert "taking over" not in said
    assert stack.kinds() == []
    types = {each["type"] for each in stack.state()}
    assert "aws:s3/bucketPolicy:BucketPolicy" in types, (
        "the bucket of the log is sealed before its first record"
    )
    assert not {each for each in types if each.startswith(("aws:ec2", "aws:eks", "kubernetes:"))}


def brought_up_empty(stack: Life) -> None:
    """Both slots empty: a route that answers nobody, no service, and a record of just that."""
    stack.command("up")
    assert stack.kinds() == ["intent", "outcome:complete"]
    for region in stack.regions:
        assert stack.weights(region) == {}
        assert stack.get(region, DEPLOYMENTS, f"{MODEL}-{region}-blue") is None
    assert stack.touched("up", "--dry-run") == set()


def a_release_is_placed(stack: Life) -> None:
    """Intent, then pods of exactly that release and a route that names its record, then the outcome."""
    stack.place(eu_central_1=cell(stack), us_east_1=cell(stack))
    stack.command("up")
    assert stack.kinds()[2:] == ["intent", "outcome:complete"]
    intent = stack.records()[2]
    for region in stack.regions:
        assert stack.weights(region) == {"blue": 1000}
        assert stack.route(region)["metadata"]["annotations"][ANNOTATION + "record"] == intent.digest
        pods = stack.get(region, DEPLOYMENTS, f"{MODEL}-{region}-blue")
        assert pods is not None
        (server,) = pods["spec"]["template"]["spec"]["containers"]
        assert "@sha256:" in server["image"]
        assert stack.plain in server["args"]
    assert stack.rewritten() == [], "the provider would show these as changed for ever"
    status = {each["name"]: each for each in stack.json("status", "-s", stack.stack)["regions"]}
    assert all(status[region]["healthy"] for region in stack.regions), status
    keep_if_asked(lambda: stack.engine("stack", "export", "--show-secrets").stdout, without=FAR)


def a_candidate_gets_its_first_traffic(stack: Life) -> None:
    """A step touches the gate, the warrant and the route of its region, and the receipt: nothing else."""
    stack.place(eu_central_1=cell(stack, stack.better))
    stack.command("up")
    assert stack.weights(HOME) == {"blue": 1000, "green": 0}
    step = stack.touched("promote", MODEL, stack.better, "--share", "5", "--region", HOME)
    assert step == {
        "update PromotionGate gate",
        f"update RouteWarrant {MODEL}-{HOME}",
        f"update HTTPRoute {MODEL}-{HOME}",
        "update PromotionReceipt receipt",
    }
    assert stack.weights(HOME) == {"blue": 950, "green": 50}
    assert stack.weights(FAR) == {"blue": 1000}
    assert stack.records()[-1]["to"][MODEL][HOME]["green_weight"] == 5


def an_update_that_fails_is_recorded_and_repaired(stack: Life) -> None:
    """The route cannot be written: the command fails, the record says so, and the next `up` makes it true."""
    route = {"type": "kubernetes:gateway.networking.k8s.io/v1:HTTPRoute", "call": "update"}
    stack.faults(fail=[{**route, "code": "ServiceUnavailable"}])
    said = stack.command("promote", MODEL, stack.better, "--share", "10", "--region", HOME, expect=1)
    assert "the record says `interrupted`" in said
    assert stack.kinds()[-1] == "outcome:interrupted"
    assert stack.weights(HOME) == {"blue": 950, "green": 50}
    stack.faults()
    stack.command("up")
    assert stack.kinds()[-2:] == ["intent", "outcome:complete"]
    assert stack.weights(HOME) == {"blue": 900, "green": 100}


def a_region_is_cut_off_and_the_other_rolls_back(stack: Life) -> None:
    """Traffic leaves the candidate where that can be done; the record does not claim more than was seen."""
    with stack.cut_off(FAR):
        said = stack.command("rollback", MODEL, expect=1)
        assert "history is no file of this machine: the table is from the record" in said
        assert stack.weights(HOME) == {"blue": 1000, "green": 0}
        assert stack.kinds()[-1] == "outcome:interrupted"
    stack.command("up")
    assert stack.kinds()[-1] == "outcome:complete"
    assert stack.weights(FAR) == {"blue": 1000}


def weights_set_by_hand_are_seen_and_taken_back(stack: Life) -> None:
    size = len(stack.kinds())
    stack.set_weights(HOME, blue=500, green=500)
    assert "~ 1 updated" in stack.engine("refresh", "--yes", "--skip-preview").stdout
    assert stack.touched("up") == {f"update HTTPRoute {MODEL}-{HOME}"}
    assert stack.weights(HOME) == {"blue": 1000, "green": 0}
    assert len(stack.kinds()) == size, "nothing was decided, so nothing is recorded"


def destroyed_in_order_and_taken_up_again(stack: Life) -> None:
    stack.edit(allow_destroy=True)
    stack.command("up")
    serves = [each for each in stack.state() if each["urn"].rsplit("::", 1)[1].startswith(MODEL)]
    assert {"HTTPRoute", "Deployment", "PodDisruptionBudget", "ScaledObject"} <= {
        each["type"].rsplit(":", 1)[1] for each in serves
    }
    left = [each["urn"] for each in serves if each.get("deletedWith")]
    assert left == [], "the engine would not delete these before their nodes are drained"
    said = stack.command("down", "--yes")
    steps = STEP.findall(said)
    assert f"the next ./lockstep up -s {stack.stack} takes them over, and the log goes on" in said
    for region in stack.regions:
        require_order(steps, region)
    assert stack.kinds()[-2:] == ["intent", "outcome:complete"]
    assert stack.state() == []
    size = len(stack.kinds())
    kept = stack.kept()
    stack.place(eu_central_1=cell(stack))  # what was rolled back from is barred, also from a stack made anew
    said = stack.command("up")
    parts = ", ".join(["records", "registry", *(f"key-{region}" for region in stack.regions)])
    assert f"taking over what an earlier stack of this name left: {parts} (" in said
    assert stack.kept() == kept, "the same buckets and keys, and none made anew"
    assert "taking over" not in stack.command("up", "--dry-run")
    records = stack.records()
    assert [each.index for each in records] == list(range(len(records)))
    assert stack.kinds()[size:] == ["intent", "outcome:complete"]
    assert all(stack.weights(region) == {"blue": 1000} for region in stack.regions)


ORDER = (
    ("PromotionReceipt", "HTTPRoute"),
    ("HTTPRoute", "Gateway"),
    (f"HTTPRoute {MODEL}", "Deployment"),
    ("Gateway", "NodePool"),
    ("Deployment", "NodePool"),
    ("NodePool", "Release"),
    ("Release", "Cluster"),
    ("Cluster", "Subnet"),
    ("Subnet", "Vpc"),
    ("Vpc", "PromotionGate"),
)
"""What is all gone before the first of what comes next in a region."""


def require_order(steps: list[str], region: str) -> None:
    deleted = [step for step in steps if region in step or "Promotion" in step]
    for earlier, later in ORDER:
        last = max(at for at, step in enumerate(deleted) if goes(step, earlier))
        first = min(at for at, step in enumerate(deleted) if goes(step, later))
        assert last < first, f"{later} went before {earlier}: {deleted}"


def goes(step: str, what: str) -> bool:
    """Whether a step deletes a resource of this kind; what may go on with how its name begins."""
    (op, kind, name), (wanted, _, begins) = step.split(), what.partition(" ")
    return op == "delete" and kind == wanted and name.startswith(begins)


def test_prod_in_one_region(prod: Life) -> None:
    prod.place(eu_central_1=cell(prod))
    prod.edit(allow_destroy=True)
    assert "create PromotionGate gate" in prod.touched("up", "--dry-run")
    prod.first_up()
    prod.command("up")
    assert prod.kinds() == ["intent", "outcome:complete"]
    assert prod.weights(HOME) == {"blue": 1000}
    prod.command("down", "--yes")
    assert prod.kinds()[2:] == ["intent", "outcome:complete"]
    assert prod.state() == []
