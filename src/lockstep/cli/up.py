"""`./lockstep up`: everything that is missing, then a real `pulumi up`, then one real prediction."""

from __future__ import annotations

from typing import Any

import click

from lockstep.cli.adopt import taking_over
from lockstep.cli.context import Context, dry_run_option, open_context, stack_option, timed
from lockstep.cli.output import emit, output_option, say
from lockstep.errors import LockstepError, Unavailable
from lockstep.rollout.change import intent_since, require_outcome
from lockstep.table import cells, short

HELD_OUT = 0
"""Which held-out image the closing prediction uses."""


@click.command(
    epilog="\b\nExamples:\n  ./lockstep up\n  ./lockstep up --dry-run\n  ./lockstep up --output json"
)
@stack_option
@dry_run_option
@output_option
def command(stack: str, dry_run: bool, output: str) -> None:
    """Bring the stack up as its file declares it; set up whatever is missing first.

    Safe to run again at any time: after a reboot, a kill or a failed update it brings the stack back.
    It is done when the outcome record says so.
    """
    from lockstep.toolchain.machine import require_room

    context = open_context(stack)
    require_room(context.workspace.paths)
    context.engine.ensure_stack()
    if dry_run:
        touched = taking_over(context).preview()
        emit(output, "up", {"touched": [vars(t) for t in touched]}, lambda: "\n".join(map(str, touched)))
        return
    bring_up(context)
    document = closing(context)
    emit(output, "up", document, lambda: _text(document))


def bring_up(context: Context) -> None:
    """The update and its records. Raises LockstepError; its own intent left open is closed first."""
    change = context.change
    with change.exclusive():
        _judge(context)
        size = context.ledger.size()
        try:
            with timed(f"updating the stack {context.workspace.stack}"):
                taking_over(context).up()
        except LockstepError as error:
            if intent_since(context.ledger, size):
                error.message += change.undo(size, error)
            raise
        if any(True for _ in cells(context.settings.table)):
            require_outcome(context.ledger, context.settings.table)
        record_history(context)


def _judge(context: Context) -> None:
    """Ask policy ahead of the engine. A gateway on this machine with routes that are not ours gets its own
    back first, where no more is asked for than the record has; a change waits until somebody has seen it."""
    declared = context.settings.table
    try:
        context.change.judge(declared)
    except Unavailable as error:
        here = not context.workspace.in_cloud
        if not (error.code == "route.gateway_odd" and here and context.ledger.names(declared)):
            raise
        say(f"{error.message}: it gets the recorded routes back")
        context.local.mend_gateways(context.ledger.vouches)
        context.change.judge(declared)


def record_history(context: Context) -> None:
    """List the history files that this update itself wrote, and any that plain `pulumi` left unlisted."""
    from lockstep.audit.record import draft

    size = context.ledger.settle().size
    while (circumstances := context.ledger.circumstances())["history"]:
        size = context.ledger.append(draft("history", **circumstances), at=size).index + 1


def closing(context: Context) -> dict[str, Any]:
    """One held-out image through the entry point, and the records behind its answer.

    In the cloud no image is sent: names and certificates take their minutes, and an update does not wait."""
    from lockstep.cli.predict import entry_point, predict

    head, cloud = context.ledger.head(), context.settings.cloud
    document: dict[str, Any] = {
        "entrypoint": entry_point(context.settings),
        "head": None if head is None else str(head),
        "prediction": None,
        "record": None,
    }
    serving = [
        model for model, _, cell in cells(context.settings.table) if cell.get("blue") or cell.get("green")
    ]
    if cloud is not None:
        return document
    if "digits" not in serving:
        say("the stack serves no digits release, so there is nothing to predict")
        return document
    path = context.workspace.paths.state / "held-out.png"
    path.write_bytes(held_out())
    answer = predict(document["entrypoint"], "digits", path)
    state = context.ledger.state(fresh=True)
    index = None if state is None else state.cell_intent.get("digits", {}).get(answer["region"])
    return {**document, "prediction": answer, "record": index}


def held_out() -> bytes:
    """A real scanned digit that no release was trained on, as PNG."""
    from models.digits.dataset import held_out_png

    return held_out_png(HELD_OUT)[0]


def _text(document: dict[str, Any]) -> str:
    lines = []
    answer = document["prediction"]
    if answer is not None:
        lines += [
            f"predicted digit  {answer['label']}",
            f"release          {short(answer['release'])}",
            f"slot, region     {answer['slot']}, {answer['region']}",
            f"prediction id    {answer['prediction_id']}",
            f"allowed by       audit record {document['record']}",
        ]
    lines += [
        f"entry point      {document['entrypoint']}",
        f"log head         {document['head']}",
        "",
        "next:",
        "  ./lockstep status                    what is declared, what is live",
        "  ./lockstep audit show                the record behind it, in words",
        "  ./lockstep tour                      a candidate gets traffic, is refused, is rolled back",
    ]
    return "\n".join(lines)
