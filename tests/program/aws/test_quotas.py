"""Quotas as the program asks for them: what does not fit is said, and nothing that goes wrong stops it."""

from __future__ import annotations

import logging
import socket
from dataclasses import dataclass, field
from typing import Any

import grpc
import pulumi
import pytest
from pulumi.runtime import mocks as pulumi_mocks

from infra.aws.ground import ground
from infra.aws.quotas import FUNCTION, say_what_does_not_fit
from infra.aws.site import Region, Site
from lockstep.standin.project import STATE_VARIABLE
from tests.support.clouds import CloudMocks, Recorder, quiet_engine, stack

__all__ = ["quiet_engine"]

pytestmark = pytest.mark.usefixtures("quiet_engine", "stand_ins")
REGION = "us-east-1"
Answer = dict[str, Any] | tuple[dict[str, Any], list[tuple[str, str]]] | grpc.RpcError


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_VARIABLE, "the mocks")


class Refused(grpc.RpcError):
    """As gRPC raises it."""

    def __init__(self, code: grpc.StatusCode, said: str = "") -> None:
        self._code, self._said = code, said

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._said


@dataclass
class Quotas(CloudMocks):
    """answer: of Service Quotas; asked: the arguments of each question."""

    answer: Answer = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)

    def call(self, args: Any) -> Any:
        if args.token != FUNCTION:
            return super().call(args)
        self.asked.append(dict(args.args))
        if isinstance(self.answer, grpc.RpcError):
            raise self.answer
        return self.answer


def said(
    caplog: pytest.LogCaptureFixture, answer: Answer, **capacity: Any
) -> tuple[list[str], list[str], Quotas]:
    """The warnings and the notes of one region whose account gives this answer, and what it was asked."""
    settings = stack("staging", capacity=capacity)
    mocks = Quotas(answer=answer)
    pulumi_mocks.set_mocks(mocks, project="lockstep", stack="staging", monitor=Recorder(mocks))

    @pulumi.runtime.test
    def run() -> Any:
        say_what_does_not_fit(Site(ground(settings), REGION, Region(REGION), ()))

    with caplog.at_level(logging.INFO):
        run()
    levels = {
        level: [record.getMessage() for record in caplog.records if record.levelno == level]
        for level in (logging.WARNING, logging.INFO)
    }
    return levels[logging.WARNING], [each for each in levels[logging.INFO] if "quota" in each], mocks


def number(value: float) -> dict[str, Any]:
    return {"quotaName": "Running On-Demand G and VT instances", "value": value}


def test_a_plan_that_fits_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    warnings, notes, mocks = said(caplog, number(1000.0), max=6)
    assert (warnings, notes) == ([], [])
    assert mocks.asked == [{"serviceCode": "ec2", "quotaCode": "L-DB2E81BA", "region": REGION}]


def test_what_does_not_fit_is_a_warning_with_the_surge_path(caplog: pytest.LogCaptureFixture) -> None:
    warnings, notes, _ = said(caplog, number(32.0), max=6)  # four nodes of the larger type
    assert notes == []
    (warning,) = warnings
    assert warning.startswith(f"{REGION}: quota L-DB2E81BA (Running On-Demand G and VT instances) allows 32")
    assert "that leaves 4; a promotion goes by surge" in warning


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (
            Refused(grpc.StatusCode.UNKNOWN, "AccessDeniedException:\nnot\tyours"),
            "(AccessDeniedException: not yours)",
        ),
        (Refused(grpc.StatusCode.UNKNOWN, "x" * 1000), f"({'x' * 200}...)"),
        (Refused(grpc.StatusCode.UNAVAILABLE), "(no reason was given)"),
        (({}, [("quotaCode", "there is no such quota")]), "(there is no such quota)"),
        ({"quotaName": "no number"}, "(the answer has no number)"),
        ({"quotaName": "a word", "value": "much"}, "(the answer has no number)"),
    ],
)
def test_what_nobody_knows_is_a_note_and_stops_nothing(
    caplog: pytest.LogCaptureFixture, answer: Answer, why: str
) -> None:
    warnings, notes, _ = said(caplog, answer, max=6)
    assert warnings == []
    (note,) = notes
    assert why in note
    assert "48 vCPUs are needed at full size" in note


def test_an_account_is_asked_by_us_and_never_by_a_provider_that_nobody_can_hurry(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(STATE_VARIABLE)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "example")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL_SERVICEQUOTAS", f"http://127.0.0.1:{port}")
    warnings, notes, mocks = said(caplog, number(0.0), max=6, spot_percent=50)
    assert (warnings, mocks.asked) == ([], [])
    assert [note.split()[2] for note in notes] == ["L-DB2E81BA", "L-3819A6DF"]
    assert all("servicequotas in us-east-1 does not answer" in note for note in notes)
