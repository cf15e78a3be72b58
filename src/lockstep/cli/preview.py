"""`./lockstep preview`: what an update would touch, and what policy says to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lockstep.cli.context import open_context, stack_option, step_line, timed
from lockstep.cli.output import emit, output_option, say
from lockstep.errors import Denied, UsageError

if TYPE_CHECKING:
    from lockstep.planned import Difference
    from lockstep.standin.preview import OfflinePreview

HELD_AGAINST = {"staging": "prod", "prod": "staging"}


@click.command(
    epilog="\b\nExamples:\n  ./lockstep preview\n  ./lockstep preview --output json\n"
    "  ./lockstep preview staging --offline"
)
@click.argument("name", metavar="[STACK]", default="")
@stack_option
@click.option("--offline", is_flag=True, help="Ask no account: stand-ins for AWS and Kubernetes compute it.")
@output_option
def command(name: str, stack: str, offline: bool, output: str) -> None:
    """Show what an update would do. Writes nothing; exits 5 if policy would refuse it.

    With --offline: the whole tree of resources, the gate's table with a sample release in every place, and
    what staging has otherwise than prod. Needs no account, no credentials and no cluster.
    """
    if offline:
        return _offline(name or stack, output)
    context = open_context(name or stack)
    context.engine.ensure_stack()
    judged = context.ledger.judge(context.settings.table)
    from lockstep.cli.adopt import taking_over
    from lockstep.ledger import waits

    if judged is not None and not judged[1].allow and not waits(*judged):
        raise Denied(judged[1].violations)
    with timed("previewing"):
        touched = taking_over(context).preview()
    emit(
        output,
        "preview",
        {"touched": [vars(touch) for touch in touched]},
        lambda: "\n".join(map(str, touched)) or "nothing would change",
    )


def _offline(stack: str, output: str) -> None:
    from lockstep.paths import here
    from lockstep.planned import differences
    from lockstep.standin.preview import preview
    from lockstep.standin.project import BANNER
    from lockstep.toolchain import ensure
    from lockstep.workspace import LOCAL, Workspace

    if stack == LOCAL:
        raise UsageError(
            "the stack local has nothing to stand in for: all of it runs on this machine",
            code="preview.local_offline",
            remedy="./lockstep preview, or ./lockstep preview staging --offline",
        )
    say(BANNER)
    other, found = HELD_AGAINST.get(stack), []
    for each in filter(None, (stack, other)):
        Workspace(here(), each).file.settings()  # a wrong file is said before anything is made
    toolchain = ensure(step_line)
    with timed(f"previewing {stack}"):
        shown = preview(here(), stack, lambda: toolchain, step_line)
    if other is not None:
        with timed(f"previewing {other}, to hold it against"):
            against = preview(here(), other, lambda: toolchain, step_line)
        environments = (shown.environment, against.environment)
        found = differences(shown.plan.resources, against.plan.resources, environments)
    emit(output, "preview-offline", _document(shown, other, found), lambda: _text(shown, other, found))


def _document(shown: OfflinePreview, other: str | None, found: list[Difference]) -> dict[str, Any]:
    from lockstep.standin.project import BANNER

    return {
        "stack": shown.stack,
        "offline": BANNER,
        "resources": [
            {"type": each.type, "name": each.name, "urn": each.urn, "parent": each.parent, "op": each.op}
            for each in shown.plan.resources
        ],
        "warnings": [
            {"message": said, "about": sorted({*about} - {""})}
            for said, about in sorted(shown.plan.warnings.items())
        ],
        "gate": {
            "log": "absent",
            "live": "absent",
            "table": shown.table,
            "decision": None if shown.decision is None else shown.decision.to_record(),
        },
        "against": other,
        "differences": [vars(each) for each in found],
    }


def _text(shown: OfflinePreview, other: str | None, found: list[Difference]) -> str:
    from lockstep.planned import STACK, difference_lines, tree
    from lockstep.standin.project import BANNER
    from lockstep.table import cells

    count = sum(1 for each in shown.plan.resources if each.type != STACK)
    lines = [BANNER, "", f"{shown.stack}: {count} resources", *tree(shown.plan.resources)]
    lines += ["", "what the gate was asked (log: absent, live: absent)"]
    width = max((len(f"{model}/{region}") for model, region, _ in cells(shown.table)), default=0)
    lines += [
        f"  {f'{model}/{region}':<{width}}  blue {_short(cell['blue'])}  green {_short(cell['green'])}"
        f"  green_weight {cell['green_weight']}"
        for model, region, cell in cells(shown.table)
    ]
    decision = shown.decision
    lines.append("  nothing is due" if decision is None else f"  allowed, by {decision.revision}")
    for said, about in sorted(shown.plan.warnings.items()):
        lines += ["", f"warning: {said}", *(f"  {name}" for name in sorted({*about} - {""}))]
    if other is not None:
        lines += ["", f"what {shown.stack} has otherwise than {other}"]
        lines += [f"  {line}" for line in difference_lines(found, (shown.stack, other))] or ["  nothing"]
    return "\n".join(lines)


def _short(release: str | None) -> str:
    return "empty" if release is None else release[:19]
