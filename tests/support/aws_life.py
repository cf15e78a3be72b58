"""A checkout whose cloud is on this machine: stand-ins for the providers, and something real behind each.

The commands are the user's own and run as he runs them. `aws` and `kubernetes` are the stand-ins; each bucket
is one of versitygw, each region has a kube-apiserver, and a strict KMS in this process signs the records. A
region's proxy says what the accepted HTTPRoutes of its API server come to; it takes no traffic.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from lockstep import canonical
from lockstep.audit.record import Record
from lockstep.aws.stack import AwsStack
from lockstep.evidence.keys import Signer
from lockstep.ledger import Ledger
from lockstep.standin import project
from lockstep.standin.aws import behind
from lockstep.standin.aws.account import BUCKET, Account
from lockstep.standin.kept import Kept
from lockstep.standin.kubernetes import objects, release, status
from lockstep.standin.kubernetes.api import Object
from lockstep.standin.kubernetes.cluster import Cluster
from lockstep.standin.sample import IMAGE
from lockstep.table import Cell, Table
from lockstep.toolchain import Toolchain
from tests.support import clusters, kms, releases, s3_regions, versity
from tests.support.checkout import Checkout, copy_tree

HOME, FAR = "eu-central-1", "us-east-1"
MODEL = "digits"
NAMESPACE = "models"
ROUTES = ("gateway.networking.k8s.io/v1", "HTTPRoute")
DEPLOYMENTS = ("apps/v1", "Deployment")
KEPT = (BUCKET, "aws:kms/key:Key", "aws:kms/alias:Alias")
STEP = re.compile(r"^ *((?:create|update|delete|replace)\S* \S+ \S+)$", re.MULTILINE)
NOBODY = "9"
"""A port on which nobody listens."""
PRINTED = re.compile(r"and run it again\n((?:\"kms-.+\n?)+)")
"""What a first `up` prints for policies/data/roles.json."""


@dataclass
class Life(Checkout):
    """plain, better: digests of two releases with evidence that a builder of the environment signed."""

    stack: str = ""
    regions: tuple[str, ...] = ()
    clusters: dict[str, Cluster] = field(default_factory=dict)
    plain: str = ""
    better: str = ""

    @property
    def stack_file(self) -> Path:
        return self.root / f"Pulumi.{self.stack}.yaml"

    @property
    def account(self) -> Path:
        """What the stand-ins remember."""
        return self.root / "account"

    def command(self, *words: str, expect: int = 0) -> str:
        """Run `./lockstep <words>` on this stack; all that it said."""
        done = self.run(words[0], "-s", self.stack, *words[1:], expect=expect)
        return done.stdout + done.stderr

    def lines(self, *words: str) -> list[str]:
        """Run a command; what its updates touched, in order, as `update HTTPRoute digits-us-east-1`."""
        return STEP.findall(self.command(*words))

    def touched(self, *words: str) -> set[str]:
        return set(self.lines(*words))

    @contextlib.contextmanager
    def cut_off(self, region: str) -> Iterator[None]:
        """While it lasts, nothing from here reaches a region: neither its cluster nor AWS in it."""
        files = (self.root / "reach.json", self.account / "clusters.json")
        before = [file.read_text() for file in files]
        port = str(self.clusters[region].access.port)
        for file, text in zip(files, before, strict=True):
            file.write_text(text.replace(port, NOBODY))
        self.faults(unreachable=[region])
        try:
            yield
        finally:
            self.faults()
            for file, text in zip(files, before, strict=True):
                file.write_text(text)

    def kept(self) -> list[str]:
        """The buckets and keys that the account has."""
        with Kept(self.account / "aws.jsonl").open() as entries:
            return [each.id for each in Account(entries) if each.token in KEPT]

    def first_up(self) -> str:
        """The `up` that makes the signing keys, which nobody can trust yet; then its lines are put where it
        says that they go, as they are. What it said."""
        said = self.command("up", expect=1)
        printed = PRINTED.search(said)
        assert printed is not None, said
        file = self.paths.policies / "data" / "roles.json"
        before, place, after = file.read_text().partition(f'"{self.stack}": {{ "people": {{')
        assert place and f"right after {place} in policies/data/roles.json" in said, said
        file.write_text(before + place + printed.group(1) + after)
        return said

    # --- what is declared

    def edit(self, **sections: Any) -> None:
        """Put keys of the stack file; a mapping goes over what is there."""
        document = yaml.safe_load(self.stack_file.read_text())
        for key, value in sections.items():
            before = document["config"].get(f"lockstep:{key}")
            merged = {**before, **value} if isinstance(before, dict) else value
            document["config"][f"lockstep:{key}"] = merged
        self.stack_file.write_text(yaml.safe_dump(document, sort_keys=False))

    def place(self, **cells: Cell) -> None:
        """Declare cells of the model: region (with _ for -) -> cell."""
        named = {region.replace("_", "-"): cell for region, cell in cells.items()}
        places = yaml.safe_load(self.stack_file.read_text())["config"]["lockstep:models"][MODEL]
        self.edit(models={MODEL: {**places, **named}})

    def faults(self, **faults: Any) -> None:
        """Have the stand-ins fail so; nothing: as they should."""
        (self.account / "faults.json").write_text(json.dumps(faults))

    # --- what is recorded

    def ledger(self) -> Ledger:
        stack = AwsStack(self.paths, self.stack, HOME, self.stack)
        bucket = self._settings()["lockstep:audit"]["bucket"]
        return Ledger(stack, environment=self.stack, bucket=bucket, retention_days=1)

    def _settings(self) -> dict[str, Any]:
        return dict(yaml.safe_load(self.stack_file.read_text())["config"])

    def records(self) -> list[Record]:
        audit = self.ledger().audit()
        return [] if audit is None else list(audit.log.tail(0))

    def kinds(self) -> list[str]:
        return [f"{one.kind}:{one['result']}" if one["result"] else one.kind for one in self.records()]

    # --- what is there

    def get(self, region: str, kind: tuple[str, str], name: str) -> Object | None:
        """An object of the models' namespace as the region's API server has it."""
        api = self.clusters[region].api
        return api.get(api.kind(*kind), NAMESPACE, name)

    def route(self, region: str) -> Object:
        found = self.get(region, ROUTES, f"{MODEL}-{region}")
        assert found is not None, f"{region} has no route"
        return found

    def weights(self, region: str) -> dict[str, int]:
        """Slot -> weight, of what the route names."""
        (rule,) = self.route(region)["spec"]["rules"]
        backends = rule.get("backendRefs") or []
        return {each["name"].rsplit("-", 1)[1]: each["weight"] for each in backends}

    def set_weights(self, region: str, **weights: int) -> None:
        """What somebody does with kubectl; the controllers see it."""
        route = self.route(region)
        for backend in route["spec"]["rules"][0]["backendRefs"]:
            backend["weight"] = weights[backend["name"].rsplit("-", 1)[1]]
        api = self.clusters[region].api
        kind = api.kind(*ROUTES)
        path = kind.path(NAMESPACE, route["metadata"]["name"])
        live = api.request("PUT", path, {"fieldManager": "kubectl-edit"}, route).document
        status.report(api, kind, live)

    def state(self) -> list[dict[str, Any]]:
        """The engine's resources."""
        said = json.loads(self.engine("stack", "export").stdout)
        return list(said["deployment"].get("resources") or [])

    def rewritten(self) -> list[str]:
        """What an API server says otherwise than the program said it, such as 2 CPUs for 2000m."""
        found = []
        for each in self.state():
            if each["type"].startswith("kubernetes:") and each["type"] != release.TOKEN:
                live = objects.pruned(objects.live_of(each["outputs"]), each["inputs"])
                paths = objects.differences(live, each["inputs"])
                found += [f"{each['urn'].rsplit('::', 1)[1]}: {path}" for path in paths]
        return found

    def engine(self, *words: str, expect: int = 0) -> Any:
        """Plain `pulumi` on this stack."""
        if not self.variables:
            self.variables = self.json("env", "-s", self.stack)["environment"]
        return self.pulumi(*words, "--stack", self.stack, expect=expect)


@contextlib.contextmanager
def life(root: Path, stack: str, regions: Sequence[str], toolchain: Toolchain) -> Iterator[Life]:
    """A stack that nobody has brought up yet: its file, its people, two releases, and a cloud of its own.

    The environment of this process points there, too, so that a test can read the log.
    """
    checkout = root / "checkout"
    checkout.mkdir()
    copy_tree(checkout)
    access, secret = versity.new_credentials()
    server = versity.Server(root / "s3", versity.free_port(), access, secret, region=HOME)
    with contextlib.ExitStack() as opened:
        server.start(bucket=None)
        opened.callback(server.stop)
        keys = opened.enter_context(kms.serving(kms.FakeKms(HOME, access, secret)))
        s3 = opened.enter_context(s3_regions.serving(s3_regions.Regions(server, kms.ACCOUNT)))
        started = opened.enter_context(clusters.clusters_with_proxies(root / "clusters", regions))
        made = Life(checkout, 0, stack=stack, regions=tuple(regions), clusters=started)
        builder = Signer.generate()
        _people(made, builder)
        store = releases.FolderStore(made.paths.store)
        made.plain, made.better = (releases.put(store, name=f"{MODEL}-{one}") for one in ("plain", "better"))
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        for digest in (made.plain, made.better):
            releases.evaluate(store, digest, builder, time=now)
        config = _config(made)
        replica = config["lockstep:audit"]["replica"]
        s3.regions[replica["bucket"]] = replica["region"]
        project.make(made.paths, stack, folder=checkout, config=config)
        clusters.tell(made.account, started)
        reach = {"endpoint": server.endpoint, "access": access, "secret": secret, "region": HOME}
        behind.write(made.account, reach, keys.endpoint)
        made.extra = _variables(made, {**reach, "endpoint": s3.endpoint, "kms": keys.endpoint})
        opened.enter_context(_environment(made.extra))
        yield made


def _people(made: Life, builder: Signer) -> None:
    """The builder of the releases; nobody signs records yet. Laid out as the committed file is."""
    people = {"builder": {"roles": ["builder"], "keys": {builder.keyid: builder.public_pem}}}
    known = {name: people if name == made.stack else {} for name in ("staging", "prod")}
    parts = [f'  "{name}": {{ "people": {json.dumps(some)} }}' for name, some in known.items()]
    (made.paths.policies / "data" / "roles.json").write_text("{\n" + ",\n".join(parts) + "\n}\n")


def _config(made: Life) -> dict[str, Any]:
    """The committed stack file with fewer regions, our store, and an image for the releases' lock file."""
    committed = yaml.safe_load(made.stack_file.read_text())["config"]
    places = [each for each in committed["lockstep:regions"] if each["name"] in made.regions]
    empty: Cell = {"blue": None, "green": None, "green_weight": 0}
    table: Table = {MODEL: {region: dict(empty) for region in made.regions}}
    lock = canonical.digest(releases.FILES["serving.lock"])
    return {
        "lockstep:regions": places,
        "lockstep:models": table,
        "lockstep:images": {lock: IMAGE + lock.removeprefix("sha256:")},
        "lockstep:store": made.paths.store.as_uri(),
        "lockstep:audit": {**committed["lockstep:audit"], "retention_days": 1},
    }


def _variables(made: Life, reach: Mapping[str, str]) -> dict[str, str]:
    entries = {
        region: {
            "server": f"https://{each.access.host}:{each.access.port}",
            "token": each.access.token,
            "ca": each.access.authority,
        }
        for region, each in made.clusters.items()
    }
    file = made.root / "reach.json"
    file.write_text(json.dumps(entries))
    return {
        "AWS_ENDPOINT_URL_S3": reach["endpoint"],
        "AWS_ENDPOINT_URL_KMS": reach["kms"],
        "AWS_ENDPOINT_URL_SERVICEQUOTAS": "http://127.0.0.1:9",  # silent
        "AWS_ACCESS_KEY_ID": reach["access"],
        "AWS_SECRET_ACCESS_KEY": reach["secret"],
        "LOCKSTEP_CLUSTERS": str(file),
        "LOCKSTEP_ACTOR": "ann@laptop",
        project.STATE_VARIABLE: str(made.account),
        "PULUMI_BACKEND_URL": f"file://{made.root / 'backend'}?metadata=skip",
        "PULUMI_CONFIG_PASSPHRASE": "only a test's",
    }


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update({name: value for name, value in variables.items() if name.startswith("AWS_")})
    os.environ["LOCKSTEP_CLUSTERS"] = variables["LOCKSTEP_CLUSTERS"]
    os.environ.pop("AWS_SESSION_TOKEN", None)  # versitygw knows none, and refuses who sends one
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
