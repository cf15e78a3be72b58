"""`./lockstep`: finds the verb, runs it, and turns every way it can end into words and an exit code.

Exit codes: 0 ok, 1 error, 2 usage or config, 5 policy, 8 cancelled, 9 out of time. With
`--output json` an error is one JSON document on stdout, too. LOCKSTEP_DEBUG=1 shows tracebacks.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from itertools import pairwise
from types import TracebackType

import click

from lockstep import __version__
from lockstep.cli.lazy import LazyGroup
from lockstep.errors import Denied, LockstepError
from lockstep.paths import here
from lockstep.starved import as_error, full_disk

NAME = "lockstep"


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with `./lockstep up`, then `./lockstep tour`. Each command has its own --help.",
)
@click.version_option(__version__, prog_name=NAME)
def cli() -> None:
    """Ship vision models with a record: gated, weighted, reversible, verifiable."""


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether the command line asks for JSON: errors must obey even where its parsing failed."""
    words = list(arguments)
    if "--" in words:
        words = words[: words.index("--")]
    return "--output=json" in words or ("--output", "json") in pairwise(words)


def error_document(code: str, message: str, remedy: str, violations: Sequence[object] = ()) -> str:
    error = {
        "code": code,
        "message": message,
        "remedy": remedy,
        "violations": [vars(violation) for violation in violations],
    }
    return json.dumps({"schema": "lockstep.error/1", "error": error}, indent=2, sort_keys=True)


def debugging() -> bool:
    return os.environ.get("LOCKSTEP_DEBUG", "") not in ("", "0")


def show_error(error: LockstepError, *, as_json: bool) -> None:
    if debugging():
        traceback.print_exception(error)
    if as_json:
        violations = error.violations if isinstance(error, Denied) else ()
        click.echo(error_document(error.code, error.message, error.remedy, violations))
        return
    first, *rest = error.message.split("\n")
    click.echo("\n".join([f"error: {first} [{error.code}]", *rest]), err=True)
    if error.remedy:
        click.echo(f"next: {error.remedy}", err=True)


def run(arguments: Sequence[str], group: click.Group = cli) -> int:
    """Run one command line; its exit code. What no verb may raise goes on to `on_bug`."""
    as_json = wants_json(arguments)
    try:
        result = group.main(args=list(arguments), prog_name=NAME, standalone_mode=False)
    except LockstepError as error:
        error.message += full_disk(here().state)
        show_error(error, as_json=as_json)
        return error.exit_code
    except OSError as raw:
        starving = as_error(raw)
        if starving is None:
            raise
        show_error(starving, as_json=as_json)
        return starving.exit_code
    except (click.Abort, KeyboardInterrupt):
        if as_json:
            click.echo(error_document("cli.cancelled", "cancelled", "run the command again"))
        else:
            click.echo("cancelled", err=True)
        return 8
    except click.ClickException as error:
        if as_json:
            remedy = "see the command's --help"
            click.echo(error_document("cli.usage", error.format_message(), remedy))
        else:
            error.show()
        return error.exit_code
    return result if isinstance(result, int) else 0


def on_bug(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    """The last resort, for exceptions that nobody expected: one line, no traceback unless asked for."""
    last = traceback.extract_tb(where)[-1:]
    place = f" ({last[0].filename}:{last[0].lineno})" if last else ""
    message = f"this is a bug in lockstep: {kind.__name__}: {error}{place}"
    remedy = "run it again with LOCKSTEP_DEBUG=1 and report what it prints"
    if debugging():
        traceback.print_exception(kind, error, where)
    if wants_json(sys.argv[1:]):
        click.echo(error_document("cli.bug", message, remedy))
    else:
        click.echo(f"error: {message}\nnext: {remedy}", err=True)


def main() -> None:
    sys.excepthook = on_bug
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
