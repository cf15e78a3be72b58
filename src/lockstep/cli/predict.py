"""`./lockstep predict FILE`: one image through the entry point."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from lockstep.cli.context import open_context, stack_option
from lockstep.cli.output import emit, output_option
from lockstep.errors import Unavailable, UsageError
from lockstep.table import short

if TYPE_CHECKING:
    from infra.config import Settings

TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}
KEYS = ("label", "release", "slot", "region", "prediction_id")


@click.command(
    epilog="\b\nExamples:\n  ./lockstep predict digit.png\n  ./lockstep predict scan.jpg --output json"
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", default="digits", show_default=True)
@stack_option
@output_option
def command(file: Path, model: str, stack: str, output: str) -> None:
    """Send a PNG or JPEG to the stack's entry point and say who answered."""
    answer = predict(entry_point(open_context(stack).settings), model, file)
    emit(
        output,
        "predict",
        answer,
        lambda: (
            f"{answer['label']}  (release {short(answer['release'])}, {answer['slot']} in "
            f"{answer['region']}, prediction {answer['prediction_id']})"
        ),
    )


def entry_point(settings: Settings) -> str:
    """The URL that clients of a stack send to."""
    return f"https://{settings.cloud.entry.domain}" if settings.cloud else f"http://127.0.0.1:{settings.port}"


def predict(entry: str, model: str, file: Path) -> dict[str, Any]:
    """The answer of the entry point at this URL. Raises UsageError for an image it refuses, Unavailable if
    none answers."""
    data = file.read_bytes()
    kind = next((name for magic, name in TYPES.items() if data.startswith(magic)), "application/octet-stream")
    url = urlsplit(entry)
    protocol = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = protocol(str(url.hostname), url.port, timeout=30)
    try:
        connection.request("POST", f"/v1/models/{model}/predict", body=data, headers={"Content-Type": kind})
        response = connection.getresponse()
        status, body = response.status, response.read(1 << 20)
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(
            f"the entry point {entry} does not answer: {error}",
            code="predict.no_answer",
            remedy="see `./lockstep status` of that stack for what serves; its `./lockstep up` brings it up",
        ) from None
    finally:
        connection.close()
    if status != 200:
        raise _refused(status, body, file, model)
    try:
        answer = json.loads(body)
        own = {key: answer[key] for key in KEYS}
        return own | {key: answer[key] for key in ("probabilities",) if key in answer}
    except (ValueError, KeyError, TypeError):
        raise Unavailable(
            f"what answers at {entry} is no model service: {body[:200].decode(errors='replace')}",
            code="predict.stranger",
            remedy="see `./lockstep status` for what serves, and who has the name",
        ) from None


def _refused(status: int, body: bytes, file: Path, model: str) -> UsageError | Unavailable:
    try:
        said = json.loads(body)["error"]
        code, message = str(said["code"]), str(said["message"])
    except (ValueError, KeyError, TypeError):
        code, message = f"http.{status}", body[:200].decode(errors="replace") or f"status {status}"
    if 400 <= status < 500:
        remedy = "send a PNG or JPEG image" if status != 404 else "see `./lockstep status` for what is served"
        return UsageError(f"{file.name} was refused by {model}: {message}", code=code, remedy=remedy)
    return Unavailable(f"{model} answered {status}: {message}", code=code, remedy="see `./lockstep status`")
