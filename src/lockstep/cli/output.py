"""How results leave: results to stdout, progress and warnings to stderr; one JSON document on request."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import click

output_option = click.option(
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Text for people, or one JSON document for programs.",
)


def emit(output: str, verb: str, document: dict[str, Any], text: Callable[[], str]) -> None:
    """Write a result: `document` with its schema name as JSON, or what `text()` says."""
    if output == "json":
        click.echo(json.dumps({"schema": f"lockstep.{verb}/1", **document}, indent=2, sort_keys=True))
    else:
        click.echo(text())


def say(message: str) -> None:
    """A line for the person watching: stderr, so that stdout stays parseable."""
    click.echo(message, err=True)


def is_tty() -> bool:
    return sys.stderr.isatty()
