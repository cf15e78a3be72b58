"""moto, in a folder of its own; and the program's own declarations, put to the stand-in that asks it."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks
from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs

from lockstep import paths
from lockstep.errors import LockstepError
from lockstep.lock import locked
from lockstep.standin.aws.plugin import AwsStandIn
from lockstep.standin.provider import Call
from tests.support.clouds import CloudMocks, Recorder, sdks, whole
from tests.support.standin_aws import REGION

REQUIREMENTS = paths.here().root / "requirements-moto.txt"


def moto_folder() -> Path:
    """The folder with moto, at the versions that the checkout pins; made once for all checkouts."""
    how = "--quiet --no-deps --compile-bytecode"
    made_by = hashlib.sha256(how.encode() + REQUIREMENTS.read_bytes()).hexdigest()
    folder = paths.cache() / "moto" / made_by[:16]
    with locked(folder.with_suffix(".lock"), deadline_s=600):
        if not (folder / "done").exists():
            install = [str(Path(sys.prefix) / "bin" / "uv"), "pip", "install", *how.split()]
            subprocess.run([*install, "--target", str(folder), "-r", str(REQUIREMENTS)], check=True)
            (folder / "done").touch()
    return folder


@pytest.fixture(scope="session")
def moto() -> Path:
    return moto_folder()


class Asking(CloudMocks):
    """Mocks that make each AWS resource in the stand-in's account, and so in moto. refused says why not."""

    def __init__(self, aws: AwsStandIn) -> None:
        super().__init__()
        self.aws = aws

    def call(self, args: MockCallArgs) -> Any:
        return self.aws.invoke(args.token, args.args, preview=False)

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        if not args.typ.startswith("aws:"):
            return super().new_resource(args)
        call = Call(f"urn:pulumi:s::lockstep::{args.typ}::{args.name}", args.typ, args.name)
        try:
            checked = self.aws.check(call, {}, whole(args.inputs))
            assert not checked.failures, checked.failures
            return self.aws.create(call, checked.inputs)
        except (LockstepError, AssertionError) as error:
            self.refused.append(f"{args.typ} {args.name}: {error}")
            raise


def declared(aws: AwsStandIn, build: Callable[[], Any]) -> None:
    """Run a part of the program; everything of AWS in it is made. In a process without an engine."""
    sdks()
    _have_a_loop()
    asking = Asking(aws)
    recorder = Recorder(asking)
    mocks.set_mocks(asking, project="lockstep", stack="staging", monitor=recorder)
    pulumi.runtime.settings.SETTINGS.callbacks = recorder.hooks

    @pulumi.runtime.test
    def run() -> Any:
        build()

    try:
        run()
    finally:
        assert not asking.refused, "\n".join(asking.refused)


@cache
def _have_a_loop() -> None:
    """One for the process: the SDK's own resource of the stack stays with the first."""
    asyncio.set_event_loop(asyncio.new_event_loop())


def account(folder: Path) -> AwsStandIn:
    """A stand-in with an account of its own, as the program configures it."""
    provider = AwsStandIn(folder)
    provider.configure({"region": REGION, "defaultTags": '{"tags":{"lockstep:project":"lockstep"}}'})
    return provider
