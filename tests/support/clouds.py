"""Pulumi mocks for the cloud, as strict as the SDKs: a property that their types do not have is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pulumi
import pulumi_aws
import pulumi_kubernetes
import pytest
import yaml
from pulumi.runtime import mocks as pulumi_mocks
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks

from infra.config import Settings, defaults, load
from lockstep.standin.aws.sdk import Sdk
from lockstep.standin.aws.shape import problems
from lockstep.standin.kubernetes.sdk import Types
from lockstep.standin.project import STATE_VARIABLE

ROOT = Path(__file__).parents[2]
ACCOUNT = "111122223333"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/deployer"
ANSWERS: dict[str, Any] = {
    "aws:index/getCallerIdentity:getCallerIdentity": {
        "accountId": ACCOUNT,
        "arn": ROLE,
        "userId": "u",
        "id": "i",
    },
    "aws:iam/getSessionContext:getSessionContext": {"issuerArn": ROLE, "arn": ROLE, "id": "i"},
    "aws:servicequotas/getServiceQuota:getServiceQuota": {"quotaName": "enough", "value": 10_000.0},
}
OUTPUTS: dict[str, dict[str, Any]] = {
    "aws:eks/cluster:Cluster": {
        "endpoint": "https://cluster.example",
        "certificateAuthority": {"data": "Q0E="},
        "createdAt": "2026-01-01T00:00:00Z",
    },
    "aws:eks/nodeGroup:NodeGroup": {"resources": [{"autoscalingGroups": [{"name": "nodes"}]}]},
    "aws:acm/certificate:Certificate": {
        "domainValidationOptions": [
            {"resourceRecordName": "_x.example", "resourceRecordType": "CNAME", "resourceRecordValue": "_y"}
        ]
    },
    "aws:route53/record:Record": {"fqdn": "_x.example"},
    "aws:ec2/eip:Eip": {"allocationId": "eipalloc-1"},
    "aws:ec2/launchTemplate:LaunchTemplate": {"latestVersion": 1},
    "aws:kms/key:Key": {"keyId": "11111111-2222-3333-4444-555555555555"},
    "aws:sqs/queue:Queue": {"url": "https://queue.example"},
    "aws:lb/loadBalancer:LoadBalancer": {"dnsName": "gateway.example", "zoneId": "Z1"},
}
T = TypeVar("T")


@cache
def sdks() -> tuple[Sdk, Types]:
    """The readers of types, after what they read: a package that a second thread meets half imported lacks
    classes."""
    assert pulumi_aws.ec2.Vpc
    assert pulumi_kubernetes.apiextensions.v1.CustomResourceDefinition
    return Sdk(), Types()


@dataclass(frozen=True)
class Registered:
    """One resource as the engine would have been told of it. after: type and name of what it waits for;
    imported: the id of what is there, which it takes over."""

    type: str
    name: str
    inputs: dict[str, Any]
    after: frozenset[str]
    parent: str
    provider: str
    deleted_with: str
    retained: bool
    ignored: tuple[str, ...]
    imported: str

    @property
    def key(self) -> str:
        return f"{self.type}::{self.name}"


@dataclass
class CloudMocks(Mocks):
    """refused: what the SDKs' types do not allow, told at the end: an error in here is wrapped many times."""

    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def call(self, args: MockCallArgs) -> Any:
        assert args.token in ANSWERS, f"the program calls {args.token}"
        return ANSWERS[args.token](args.args) if callable(ANSWERS[args.token]) else ANSWERS[args.token]

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        given = whole(args.inputs)
        found: list[Any] = []
        if args.typ.startswith("aws:"):
            found = list(problems(sdks()[0].resource(args.typ).inputs, given))
        elif args.typ.startswith("kubernetes:"):
            found = sdks()[1].failures(args.typ, given)
        self.refused += [f"{args.typ} {args.name}: {each}" for each in found]
        key = f"{args.typ}::{args.name}"
        assert key not in self.inputs, f"two resources are called {key}"
        self.inputs[key] = given
        arn = f"arn:{args.name}"
        outputs = {"arn": arn, "name": args.inputs.get("name", args.name), **OUTPUTS.get(args.typ, {})}
        if args.typ == "aws:eks/cluster:Cluster":
            outputs["vpcConfig"] = {**args.inputs["vpcConfig"], "clusterSecurityGroupId": "sg-cluster"}
        return f"{args.name}-id", {**args.inputs, **outputs}


class Recorder(MockMonitor):
    """Keeps what was registered, in the order in which it was."""

    def __init__(self, mocks: CloudMocks) -> None:
        super().__init__(mocks)
        self.registered: dict[str, Registered] = {}
        self.hooks = Hooks()

    def RegisterResource(self, request: Any) -> Any:
        response = super().RegisterResource(request)
        if request.type != "pulumi:pulumi:Stack":
            mocks = self.mocks
            assert isinstance(mocks, CloudMocks)
            each = Registered(
                request.type,
                request.name,
                mocks.inputs.get(f"{request.type}::{request.name}", {}),
                frozenset(map(short, request.dependencies)),
                short(request.parent),
                request.provider,
                short(request.deletedWith),
                request.retainOnDelete,
                tuple(request.ignoreChanges),
                request.importId,
            )
            self.registered[each.key] = each
        return response

    def of(self, kind: str) -> list[Registered]:
        """All of one type, given by the end of its token."""
        return [each for each in self.registered.values() if each.type.endswith(kind)]

    def named(self, name: str, kind: str = "") -> Registered:
        found = [each for each in self.of(kind) if each.name == name]
        assert len(found) == 1, f"{len(found)} resources {kind} are called {name}"
        return found[0]

    def waits_for(self, later: Registered, earlier: Registered) -> bool:
        """Whether the engine makes `earlier` first and, so, deletes `later` first."""
        seen: set[str] = set()
        queue = [later.key]
        while queue:
            each = self.registered.get(queue.pop())
            if each is None or each.key in seen:
                continue
            seen.add(each.key)
            queue += [*each.after, short(each.provider.rsplit("::", 1)[0])]
        return earlier.key in seen and earlier.key != later.key


@dataclass
class Hooks:
    """What the engine is told of hooks: the mocks have no server that it could call back."""

    registered: dict[str, pulumi.ErrorHook] = field(default_factory=dict)

    def register_error_hook(self, hook: pulumi.ErrorHook) -> None:
        self.registered[hook.name] = hook


def short(urn: str) -> str:
    """The type and the name in a URN; the types of parents are left out."""
    parts = urn.split("::")
    return f"{parts[2].rsplit('$', 1)[-1]}::{parts[3]}" if len(parts) == 4 else ""


def whole(value: Any) -> Any:
    """Numbers as they were before they crossed the engine's protocol, which knows only floats."""
    if isinstance(value, Mapping):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def stack(name: str = "staging", **sections: dict[str, Any]) -> Settings:
    """A committed stack file, with other values in some of its sections."""
    text = (ROOT / f"Pulumi.{name}.yaml").read_text()
    values = {**defaults(ROOT / "Pulumi.yaml"), **yaml.safe_load(text)["config"]}
    for section, changed in sections.items():
        values[f"lockstep:{section}"] = {**values[f"lockstep:{section}"], **changed}
    return load(values)


def declare(build: Callable[[], Any]) -> Recorder:
    """Run a part of the program on the mocks; everything that it registered."""
    sdks()  # before the engine's threads: two that import it at once find it half there
    mocks = CloudMocks()
    recorder = Recorder(mocks)
    pulumi_mocks.set_mocks(mocks, project="lockstep", stack="staging", monitor=recorder)
    pulumi.runtime.settings.SETTINGS.callbacks = recorder.hooks

    @pulumi.runtime.test
    def run() -> Any:
        build()

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(STATE_VARIABLE, "the mocks")
        run()
    assert not mocks.refused, "\n".join(mocks.refused)
    return recorder


@pytest.fixture
def quiet_engine() -> Iterator[None]:
    """A loop for the SDK, whatever other tests left; and afterwards no engine."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    pulumi.runtime.settings.reset_options()
    asyncio.set_event_loop(None)
    loop.close()
