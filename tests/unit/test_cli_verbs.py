"""What the verbs work out before and after they call anything: pure parts, and parts on the real log."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import Template
from typing import Any

import click
import pytest

from lockstep.audit.drafts import draft_rollback
from lockstep.cli.context import Context, confirm_or_stop
from lockstep.cli.predict import entry_point, predict
from lockstep.cli.promote import Percent, ahead, steps
from lockstep.cli.status import _text, status
from lockstep.errors import Denied, Unavailable, UsageError
from lockstep.local.drift import Drift
from lockstep.workspace import Workspace
from tests.support import clouds
from tests.support.children import free_port
from tests.support.loopback import served
from tests.support.stack import Scene

ROOT = Path(__file__).parents[2]
BOTH = ("local-a", "local-b")


class Bench(Context):
    """A context on a test's own stack."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(Workspace(scene.paths, "local"))
        vars(self).update(local=scene.stack, ledger=scene.ledger())


@pytest.fixture
def open_bench(stage: Scene) -> Callable[[], Bench]:
    shutil.copy2(ROOT / "Pulumi.yaml", stage.paths.root / "Pulumi.yaml")
    example = Template((ROOT / "Pulumi.local.yaml.example").read_text()).substitute(plain=stage.plain)
    (stage.paths.root / "Pulumi.local.yaml").write_text(example)
    stage.make(stage.table())
    return lambda: Bench(stage)


def change(stage: Scene, table: Any) -> None:
    """The table declared, recorded and live."""
    file = Workspace(stage.paths, "local").file
    file.write(file.with_table(table))
    stage.make(table)


# --- promote


@pytest.mark.parametrize(
    ("text", "value"), [("5", 5), ("0.1", 0.1), ("99.9", 99.9), ("100", 100), ("5.0", 5)]
)
def test_a_percentage_with_one_decimal_is_taken(text: str, value: float) -> None:
    taken = Percent().convert(text, None, None)
    assert taken == value
    assert isinstance(taken, int) == (value == int(value))


@pytest.mark.parametrize("text", ["0", "-5", "100.1", "5.55", "five", "nan", "inf", "", "5%"])
def test_anything_else_is_no_percentage(text: str) -> None:
    with pytest.raises(click.UsageError):
        Percent().convert(text, None, None)


def test_a_promotion_is_one_placement_and_then_a_region_at_a_time(
    stage: Scene, open_bench: Callable[[], Bench]
) -> None:
    placed, five = stage.cell(stage.better), stage.cell(stage.better, 5)
    tables = steps(open_bench(), "digits", stage.better, BOTH, 5)
    assert tables == [stage.table(placed, placed), stage.table(five, placed), stage.table(five, five)]
    change(stage, tables[0])
    assert steps(open_bench(), "digits", stage.better, BOTH, 5) == tables[1:]
    assert steps(open_bench(), "digits", stage.better, ("local-b",), 5) == [stage.table(placed, five)]


def test_a_promotion_starts_only_from_what_the_record_says(
    stage: Scene, open_bench: Callable[[], Bench]
) -> None:
    stage.ledger().record_intent(stage.table(stage.cell(stage.better)))
    with pytest.raises(UsageError) as caught:
        steps(open_bench(), "digits", stage.better, BOTH, 5)
    assert caught.value.code == "promote.not_settled"


def test_a_share_that_is_there_already_is_said(stage: Scene, open_bench: Callable[[], Bench]) -> None:
    with pytest.raises(UsageError) as caught:
        steps(open_bench(), "digits", stage.plain, BOTH, 100)
    assert caught.value.code == "promote.nothing_to_do"


def test_a_model_or_region_that_is_not_declared_is_refused(
    stage: Scene, open_bench: Callable[[], Bench]
) -> None:
    for model, regions, code in (
        ("faces", (), "plan.no_model"),
        ("digits", ("mars",), "plan.no_region"),
        ("digits", ("local-a", "mars"), "plan.no_region"),
    ):
        with pytest.raises(UsageError) as caught:
            steps(open_bench(), model, stage.better, regions, 5)
        assert caught.value.code == code


def test_a_share_that_is_no_allowed_step_is_refused_before_anything_is_placed(
    stage: Scene, open_bench: Callable[[], Bench]
) -> None:
    bench = open_bench()
    steps(bench, "digits", stage.better, BOTH, 80)
    with pytest.raises(Denied):
        ahead(bench, "digits", stage.better, BOTH, 80, record=False)
    assert len(stage.records()) == 2  # a dry run
    with pytest.raises(Denied) as caught:
        ahead(bench, "digits", stage.better, BOTH, 80, record=True)
    assert {"step.size", "step.ladder"} <= {violation.code for violation in caught.value.violations}
    assert "candidate.not_ready" not in {violation.code for violation in caught.value.violations}
    assert stage.kinds()[-1] == "denied"
    assert stage.records()[-1]["from"] == stage.table()


def test_an_allowed_step_passes_though_the_candidate_is_not_placed_yet(
    stage: Scene, open_bench: Callable[[], Bench]
) -> None:
    bench = open_bench()
    steps(bench, "digits", stage.better, BOTH, 5)
    ahead(bench, "digits", stage.better, BOTH, 5, record=True)
    assert len(stage.records()) == 2


# --- status


def entry(document: dict[str, Any], region: str = "local-a") -> dict[str, Any]:
    return next(each for each in document["regions"] if each["name"] == region)


def test_status_of_a_healthy_stack(stage: Scene, open_bench: Callable[[], Bench]) -> None:
    stage.stack.running.add("entry")
    document = status(open_bench())
    shown = entry(document)
    assert shown["model"] == "digits"
    assert shown["healthy"] is True
    assert shown["declared"] == shown["live"] == {"green_weight": 0}
    assert shown["blue"] == {"release": stage.plain, "ready": True}
    assert shown["green"] == {"release": None, "ready": False}
    assert shown["standing"] == stage.plain
    assert shown["record"] == 0
    assert shown["problems"] == []
    assert document["up"] is True
    assert document["open_intent"] is None
    assert document["entrypoint"] == "http://127.0.0.1:18480"
    assert str(document["head"]).startswith("2:")
    json.dumps(document)
    text = _text(document)
    assert "digits in local-a: healthy" in text
    assert "down: run" not in text


def test_status_says_when_live_is_not_what_the_record_says(
    stage: Scene, open_bench: Callable[[], Bench]
) -> None:
    stage.stack.routes[("digits", "local-a")] = stage.cell(stage.better, 80)
    document = status(open_bench())
    shown = entry(document)
    assert shown["healthy"] is False
    assert shown["live"] == {"green_weight": 80}
    assert shown["declared"] == {"green_weight": 0}
    assert "is not what the record says" in shown["problems"][0]
    assert "green sha256:" in shown["problems"][0]
    assert "NOT HEALTHY" in _text(document)
    assert entry(document, "local-b")["healthy"] is True


def test_status_of_a_gateway_that_does_what_nobody_told_it_is_not_healthy(
    stage: Scene, open_bench: Callable[[], Bench]
) -> None:
    stage.stack.drifted = [
        Drift("route.strange", "gateway-local-a", "gateway-local-a has a mirror"),
        Drift("route.file", "gateway-local-b", "gateway-local-b: rds.json was edited", live=False),
    ]
    document = status(open_bench())
    assert entry(document)["healthy"] is False
    assert entry(document, "local-b")["healthy"] is True
    assert "! drift: gateway-local-a has a mirror: run `./lockstep up`" in _text(document)
    assert "! drift (file only): gateway-local-b: rds.json was edited" in _text(document)


def test_status_says_when_a_gateway_is_silent(stage: Scene, open_bench: Callable[[], Bench]) -> None:
    stage.stack.routes[("digits", "local-a")] = None
    shown = entry(status(open_bench()))
    assert shown["healthy"] is False
    assert shown["live"] == {"green_weight": None}
    assert shown["problems"] == ["the gateway does not answer"]


def test_status_says_when_the_declared_table_is_not_in_force(
    stage: Scene, open_bench: Callable[[], Bench]
) -> None:
    bench = open_bench()
    file = bench.workspace.file
    file.write(file.with_table(stage.table(stage.cell(stage.better))))
    problems = entry(status(bench))["problems"]
    assert len(problems) == 1
    assert "is not in force yet: run `./lockstep up`" in problems[0]


def test_status_shows_live_weights_that_no_record_knows(
    stage: Scene, open_bench: Callable[[], Bench]
) -> None:
    stage.stack.routes[("faces", "local-a")] = stage.cell()
    shown = next(each for each in status(open_bench())["regions"] if each["model"] == "faces")
    assert "live, but without a record" in shown["problems"]
    assert shown["healthy"] is False


def test_status_shows_an_open_intent_and_barred_releases(
    stage: Scene, open_bench: Callable[[], Bench]
) -> None:
    ledger = stage.ledger()
    state = ledger.settle()
    made = draft_rollback(
        state, digest=stage.better, target=stage.table(), reason="sevens", **ledger.circumstances()
    )
    ledger.append(made, at=state.size)
    stage.make(stage.table({"withdraw": stage.plain}))
    stage.ledger().record_intent(stage.table())
    document = status(open_bench())
    assert document["open_intent"] == 5
    assert document["barred"] == [stage.better]
    text = _text(document)
    assert "OPEN INTENT: record 5" in text
    assert "barred after a rollback: sha256:" in text


def test_status_of_a_withdrawn_cell_is_words_and_no_number(
    stage: Scene, open_bench: Callable[[], Bench]
) -> None:
    bench = open_bench()
    change(stage, stage.table({"withdraw": stage.plain}))
    shown = entry(status(bench))
    assert shown["live"] == shown["declared"] == {"green_weight": None, "withdraw": stage.plain}
    assert shown["blue"] == {"release": None, "ready": False}
    assert "empty" in _text(status(bench))


def test_status_before_the_first_update(bare_stage: Scene) -> None:
    shutil.copy2(ROOT / "Pulumi.yaml", bare_stage.paths.root / "Pulumi.yaml")
    example = Template((ROOT / "Pulumi.local.yaml.example").read_text()).substitute(plain=bare_stage.plain)
    (bare_stage.paths.root / "Pulumi.local.yaml").write_text(example)
    document = status(Bench(bare_stage))
    assert document["head"] is None
    assert document["up"] is False
    assert [each["healthy"] for each in document["regions"]] == [False, False]
    assert "down: run `./lockstep up`" in _text(document)


# --- predict


class Entry(BaseHTTPRequestHandler):
    answers: tuple[int, bytes] = (200, b"")
    asked: list[tuple[str, str | None, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append((self.path, self.headers["Content-Type"], body))
        self.send_response(self.answers[0])
        self.end_headers()
        self.wfile.write(self.answers[1])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def answering() -> Iterator[tuple[str, type[Entry]]]:
    handler = type("Handler", (Entry,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    with served(server):
        yield f"http://127.0.0.1:{server.server_port}", handler


ANSWER = {"label": "3", "release": "sha256:1", "slot": "blue", "region": "a", "prediction_id": "p", "more": 1}


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x89PNG\r\n", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "application/octet-stream"),
        (b"", "application/octet-stream"),
    ],
)
def test_an_image_goes_out_as_what_it_is(
    answering: tuple[str, type[Entry]], tmp_path: Path, data: bytes, kind: str
) -> None:
    url, handler = answering
    handler.answers = (200, json.dumps(ANSWER).encode())
    file = tmp_path / "some.image"
    file.write_bytes(data)
    answer = predict(url, "digits", file)
    assert answer == {key: value for key, value in ANSWER.items() if key != "more"}
    assert handler.asked == [("/v1/models/digits/predict", kind, data)]


@pytest.mark.parametrize(
    ("status_code", "body", "kind", "code", "words"),
    [
        (
            415,
            b'{"error":{"code":"image.type","message":"not an image"}}',
            UsageError,
            "image.type",
            "PNG or JPEG",
        ),
        (404, b"no such model", UsageError, "http.404", "status"),
        (413, b'{"error":"words"}', UsageError, "http.413", "PNG or JPEG"),
        (503, b"", Unavailable, "http.503", "status"),
        (500, b'{"error":{"code":"serving.x","message":"m"}}', Unavailable, "serving.x", "status"),
    ],
)
def test_a_refusal_is_said_in_the_services_words(
    answering: tuple[str, type[Entry]],
    tmp_path: Path,
    status_code: int,
    body: bytes,
    kind: type[Exception],
    code: str,
    words: str,
) -> None:
    url, handler = answering
    handler.answers = (status_code, body)
    (tmp_path / "digit.png").write_bytes(b"x")
    with pytest.raises(kind) as caught:
        predict(url, "digits", tmp_path / "digit.png")
    error: Any = caught.value
    assert error.code == code
    assert words in error.remedy
    assert error.exit_code == (2 if kind is UsageError else 1)


@pytest.mark.parametrize("body", [b"<html>welcome</html>", b"[]", b'{"label": "3"}'])
def test_somebody_elses_answer_is_none(
    answering: tuple[str, type[Entry]], tmp_path: Path, body: bytes
) -> None:
    url, handler = answering
    handler.answers = (200, body)
    (tmp_path / "digit.png").write_bytes(b"x")
    with pytest.raises(Unavailable) as caught:
        predict(url, "digits", tmp_path / "digit.png")
    assert caught.value.code == "predict.stranger"
    assert url in caught.value.message


def test_a_stack_in_the_cloud_is_asked_by_its_own_name() -> None:
    assert entry_point(clouds.stack("prod")) == "https://vision.example.com"


def test_an_entry_point_that_is_down(tmp_path: Path) -> None:
    (tmp_path / "digit.png").write_bytes(b"x")
    with pytest.raises(Unavailable) as caught:
        predict(f"http://127.0.0.1:{free_port()}", "digits", tmp_path / "digit.png")
    assert caught.value.code == "predict.no_answer"
    assert "./lockstep up" in caught.value.remedy


# --- asking people


def test_nobody_to_ask_is_no_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    confirm_or_stop("Really?", yes=True)
    with Path("/dev/null").open() as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        with pytest.raises(click.UsageError, match="--yes"):
            confirm_or_stop("Really?", yes=False)
