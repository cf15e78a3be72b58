"""`./lockstep doctor`: what is there, and how to get what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from lockstep.cli.output import emit, output_option
from lockstep.paths import here

if TYPE_CHECKING:
    from lockstep.toolchain.checkup import Part


def _text(parts: Sequence[Part]) -> str:
    lines = []
    for part in parts:
        mark = "ok" if part.ok else "MISSING" if part.needed else "warning"
        lines.append(f"{mark:<8} {part.name:<14} {part.found}")
        if not part.ok:
            lines.append(f"{'':<23} get it: {part.remedy}")
    missing = [part.name for part in parts if part.needed and not part.ok]
    lines.append(f"missing: {', '.join(missing)}" if missing else "everything needed is there")
    return "\n".join(lines)


@click.command()
@output_option
@click.pass_context
def command(ctx: click.Context, output: str) -> None:
    """Say what is there and what is missing, with the command that gets it.

    Every program is hashed again, so this takes a second or two. Exit code 2 if anything needed is
    missing.

    \b
    Examples:
      ./lockstep doctor
      ./lockstep doctor --output json
    """
    from lockstep.toolchain import checkup

    parts = checkup.examine(here())
    well = all(part.ok for part in parts if part.needed)
    shown = [asdict(part) | {"remedy": "" if part.ok else part.remedy} for part in parts]
    emit(output, "doctor", {"ok": well, "parts": shown}, lambda: _text(parts))
    ctx.exit(0 if well else 2)
