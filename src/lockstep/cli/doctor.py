"""`./lockstep doctor`: what is there, and how to get what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from lockstep.cli.output import emit, output_option
from lockstep.paths import here

if TYPE_CHECKING:
    from lockstep.toolchain.part import Part


def _text(parts: Sequence[Part]) -> str:
    lines = []
    for part in parts:
        mark = "ok" if part.ok else "later" if part.later else "WRONG" if part.needed else "warning"
        lines.append(f"{mark:<8} {part.name:<14} {part.found}")
        if not part.ok:
            lines.append(f"{'':<23} next: {part.remedy}")
    wrong = [part.name for part in parts if part.wrong]
    later = [part.name for part in parts if part.later and not part.ok]
    if wrong:
        lines.append(f"wrong: {', '.join(wrong)}; `./lockstep up` would fail")
    elif later:
        lines.append(f"nothing is wrong; `./lockstep up` makes what is not there yet: {', '.join(later)}")
    else:
        lines.append("everything needed is there")
    return "\n".join(lines)


@click.command()
@output_option
@click.pass_context
def command(ctx: click.Context, output: str) -> None:
    """Say what is there, what `up` will make, and what is wrong, each with its next step.

    Every program is hashed again, so this takes a second or two. Exit code 2 if something is wrong that `up`
    needs and cannot make itself; what is not there yet, and is made by the next `up`, is not wrong.

    \b
    Examples:
      ./lockstep doctor
      ./lockstep doctor --output json
    """
    from lockstep.toolchain import checkup

    parts = checkup.examine(here())
    well = not any(part.wrong for part in parts)
    shown = [asdict(part) | {"remedy": "" if part.ok else part.remedy} for part in parts]
    emit(output, "doctor", {"ok": well, "parts": shown}, lambda: _text(parts))
    ctx.exit(0 if well else 2)
