"""A stack on AWS with nothing of AWS: versitygw for S3, a strict KMS, and a Kubernetes API for each region.

`Cloud` stands for the account: the environment says where it is, as it would for any AWS tool.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lockstep.aws.kms import alias_of
from lockstep.aws.stack import AwsStack
from lockstep.evidence.keys import Signer
from lockstep.evidence.pem import read_public
from lockstep.evidence.signer import keyid_of
from lockstep.ledger import Ledger
from lockstep.paths import Paths
from lockstep.table import Cell, Table, cells
from tests.support import kms, kube, opa, releases
from tests.support.versity import Server, free_port, new_credentials

HOME, FAR = "eu-central-1", "us-east-1"
ENVIRONMENT = "staging"
BUCKET = "lockstep-audit-staging"


@dataclass
class Cloud:
    """plain, better: digests of two releases with evidence that a builder of staging signed."""

    paths: Paths
    server: Server
    kms: kms.FakeKms
    clusters: dict[str, kube.FakeCluster]
    plain: str = ""
    better: str = ""
    people: dict[str, Any] = field(default_factory=dict)

    @property
    def stack(self) -> AwsStack:
        return AwsStack(self.paths, ENVIRONMENT, HOME, ENVIRONMENT)

    def ledger(self) -> Ledger:
        """A ledger as a fresh process opens it."""
        return Ledger(self.stack, environment=ENVIRONMENT, bucket=BUCKET, retention_days=1)

    def make_bucket(self) -> None:
        """What the program declares first."""
        self.server.bucket(BUCKET).create()

    def make_keys(self) -> None:
        """The signing keys, and the people who have them."""
        for noun, spec, role in (
            ("records", "ECC_NIST_P256", "deployer"),
            ("heads", "ECC_NIST_EDWARDS25519", "log"),
        ):
            pem = self.kms.make(alias_of(ENVIRONMENT, noun), spec)
            self.people[f"kms-{noun}"] = {"roles": [role], "keys": {keyid_of(read_public(pem)): pem}}
        self.write_people()

    def write_people(self) -> None:
        roles = {ENVIRONMENT: {"people": self.people}, "prod": {"people": {}}}
        (self.paths.policies / "data" / "roles.json").write_text(json.dumps(roles))

    def cell(self, green: str | None = None, weight: float = 0, blue: str | None = "") -> Cell:
        return {"blue": self.plain if blue == "" else blue, "green": green, "green_weight": weight}

    def table(self, home: Cell | None = None, far: Cell | None = None) -> Table:
        return {"digits": {HOME: home or self.cell(), FAR: far or self.cell()}}

    def put(self, table: Table, intent: int = 0) -> None:
        """Have the whole table in force on the clusters, and nothing else."""
        for region, cluster in self.clusters.items():
            placed = [
                kube.placed(model, at, cell, intent) for model, at, cell in cells(table) if at == region
            ]
            cluster.put(*(each for objects in placed for each in objects))

    def make(self, table: Table) -> None:
        """One whole update, as gate, routes and receipt do it."""
        ledger = self.ledger()
        assert ledger.record_intent(table) is not None
        self.put(table)
        ledger.record_outcome(ledger.size() - 1)

    def kinds(self) -> list[str]:
        audit = self.ledger().audit()
        records = [] if audit is None else audit.log.tail(0)
        return [f"{one.kind}:{one['result']}" if one["result"] else one.kind for one in records]


@contextlib.contextmanager
def cloud(root: Path, patch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """An account without anything in it but two clusters; the environment points there while it lasts."""
    shutil.copytree(opa.POLICIES, root / "policies", ignore=shutil.ignore_patterns("local.json"))
    paths = Paths(root, root / ".lockstep")
    access, secret = new_credentials()
    server = Server(root / "s3", free_port(), access, secret, region=HOME)
    with contextlib.ExitStack() as opened:
        server.start(bucket=None)
        opened.callback(server.stop)
        keys = opened.enter_context(kms.serving(kms.FakeKms(HOME, access, secret)))
        clusters = {
            region: opened.enter_context(kube.serving(kube.FakeCluster(region))) for region in (HOME, FAR)
        }
        made = Cloud(paths, server, keys, clusters)
        builder = Signer.generate()
        made.people["builder"] = {"roles": ["builder"], "keys": {builder.keyid: builder.public_pem}}
        store = releases.FolderStore(paths.store)
        made.plain, made.better = (releases.put(store, name=f"digits-{name}") for name in ("plain", "better"))
        for digest in (made.plain, made.better):
            releases.evaluate(store, digest, builder)
        file = root / "clusters.json"
        file.write_text(json.dumps({region: cluster.entry for region, cluster in clusters.items()}))
        for name, value in {
            "AWS_ENDPOINT_URL_S3": server.endpoint,
            "AWS_ENDPOINT_URL_KMS": keys.endpoint,
            "AWS_ACCESS_KEY_ID": access,
            "AWS_SECRET_ACCESS_KEY": secret,
            "LOCKSTEP_CLUSTERS": str(file),
        }.items():
            patch.setenv(name, value)
        patch.delenv("AWS_SESSION_TOKEN", raising=False)  # versitygw knows none, and refuses who sends one
        yield made
