"""The stand-in as the engine meets it: a process, its port, and the protocol's messages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import provider_pb2 as messages
from pulumi.runtime.proto import provider_pb2_grpc

from lockstep.standin import aws, project
from lockstep.standin.wire import SECRET, SIGNATURE, UNKNOWN, UNKNOWN_STRING, UNKNOWNS, struct, values

PLUGIN = Path(aws.__file__).parent
VPC = "urn:pulumi:test::lockstep::lockstep:infra:Region$aws:ec2/vpc:Vpc::net"
SUBNET = "urn:pulumi:test::lockstep::aws:ec2/subnet:Subnet::net-a"
# A parent that starts the plugin, says its process's number, and waits to be killed.
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, sys.argv[1], "127.0.0.1:1"], stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, project.STATE_VARIABLE: str(folder)}


@dataclass
class Plugin:
    process: subprocess.Popen[str]
    stub: Any


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Plugin]:
    process = subprocess.Popen(
        [sys.executable, str(PLUGIN), "127.0.0.1:1"],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = provider_pb2_grpc.ResourceProviderStub(channel)
            stub.Configure(messages.ConfigureRequest(args=struct({"region": "eu-central-1"})))
            yield Plugin(process, stub)
    finally:
        process.kill()
        process.wait()


def test_its_version_says_what_it_is(plugin: Plugin) -> None:
    version = plugin.stub.GetPluginInfo(Empty()).version
    assert version.endswith("+standin")
    assert '"resources": {}' in plugin.stub.GetSchema(messages.GetSchemaRequest()).schema


def test_unknowns_go_through_check_create_and_diff(plugin: Plugin) -> None:
    inputs = struct({"vpcId": UNKNOWN, "cidrBlock": "10.0.0.0/24"})
    checked = plugin.stub.Check(messages.CheckRequest(urn=SUBNET, news=inputs))
    assert list(checked.failures) == [] and values(checked.inputs)["vpcId"] is UNKNOWN
    made = plugin.stub.Create(messages.CreateRequest(urn=SUBNET, properties=checked.inputs, preview=True))
    assert made.id == "" and values(made.properties)["arn"] is UNKNOWN
    changed = plugin.stub.Diff(
        messages.DiffRequest(
            urn=SUBNET,
            id="subnet-1",
            old_inputs=struct({"vpcId": "vpc-1", "cidrBlock": "10.0.0.0/24"}),
            news=checked.inputs,
        )
    )
    assert changed.changes == messages.DiffResponse.DIFF_SOME and list(changed.replaces) == ["vpcId"]
    assert changed.detailedDiff["vpcId"].kind == messages.PropertyDiff.UPDATE_REPLACE


def test_a_bad_property_is_a_failure_whose_reason_says_all(plugin: Plugin) -> None:
    bad = messages.CheckRequest(urn=VPC, news=struct({"cidrBlock": 10}))
    (failure,) = plugin.stub.Check(bad).failures
    assert failure.property == ""
    assert failure.reason == "cidrBlock must be a string, and is the number 10"


def test_an_error_is_its_message_code_and_next_step(plugin: Plugin) -> None:
    inputs = struct({"vpcId": "vpc-none", "cidrBlock": "10.0.0.0/24"})
    with pytest.raises(grpc.RpcError) as caught:
        plugin.stub.Create(messages.CreateRequest(urn=SUBNET, properties=inputs))
    said = caught.value.details()
    assert "[InvalidVpcID.NotFound]" in said and "next:" in said and "Traceback" not in said


def test_the_providers_settings_never_replace_it(plugin: Plugin) -> None:
    request = messages.DiffRequest(old_inputs=struct({"region": "a"}), news=struct({"region": "b"}))
    answer = plugin.stub.DiffConfig(request)
    assert answer.changes == messages.DiffResponse.DIFF_SOME and list(answer.replaces) == []


def test_it_ends_when_it_is_told_to(plugin: Plugin) -> None:
    plugin.process.send_signal(signal.SIGINT)
    assert plugin.process.wait(30) == 0


def test_it_does_not_outlive_its_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(PLUGIN)],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    psutil.wait_procs([child], timeout=30)
    assert not child.is_running()


def test_values_come_back_as_they_were() -> None:
    given = {"a": UNKNOWN, "b": [1, 2.5, None, {"c": True}], "d": {}, "e": [], "f": "text"}
    assert values(struct(given)) == given


def test_every_unknown_of_the_engine_is_one() -> None:
    assert {each is UNKNOWN for each in values(struct({word: word for word in UNKNOWNS})).values()} == {True}
    assert struct({"a": UNKNOWN}).fields["a"].string_value == UNKNOWN_STRING


def test_a_secret_is_unwrapped_and_what_is_no_value_is_refused() -> None:
    assert values(struct({"a": {SIGNATURE: SECRET, "value": "x"}})) == {"a": "x"}
    with pytest.raises(TypeError):
        struct({"a": object()})
