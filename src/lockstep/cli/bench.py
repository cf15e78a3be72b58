"""`./lockstep bench`: the figures, each as a ratio against a named peer measured in the same run."""

from __future__ import annotations

from importlib import import_module

import click

from lockstep.cli.output import say
from lockstep.errors import LockstepError
from lockstep.paths import here

FIGURES = ("audit", "cloud", "gate", "preview", "route", "serve", "store")


@click.command(epilog="\b\nExamples:\n  ./lockstep bench\n  ./lockstep bench route")
@click.argument("figures", nargs=-1, type=click.Choice(FIGURES))
def command(figures: tuple[str, ...]) -> None:
    """Measure FIGURES (all by default), print the tables, and write JSON and plots.

    Exits 1 if a claim does not hold in this run. Quote figures from a quiet machine only.
    """
    from lockstep.toolchain import ensure

    ensure(say)
    out = here().root / "benchmarks" / "results"
    failed = []
    for figure in figures or FIGURES:
        say(f"measuring {figure}")
        result = import_module(f"benchmarks.{figure}").main(out)
        if result.get("holds") is False:
            failed.append(figure)
    say(f"results in {out}")
    if failed:
        raise LockstepError(
            f"claims that did not hold in this run: {', '.join(failed)}",
            code="bench.claim",
            remedy="run it again on a quiet machine; if it stays, the claim is wrong",
        )
