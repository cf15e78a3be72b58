"""`./lockstep promote`: a candidate into the free slot, then to exactly one share."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import click

from lockstep.cli.context import Context, dry_run_option, open_context, stack_option, step_line, timed
from lockstep.cli.output import emit, output_option
from lockstep.cli.up import record_history
from lockstep.errors import Denied, UsageError
from lockstep.gate.judge import Plan
from lockstep.rollout.plan import moved, placed, require_cell
from lockstep.table import Table, share, short, tenths


class Percent(click.ParamType[float]):
    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> float:
        try:
            number = float(value)
        except ValueError:
            self.fail(f"{value!r} is not a percentage", param, context)
        if not 0 < number <= 100 or tenths(number) != number:
            self.fail(f"{value} is not above 0 and up to 100, with at most one decimal", param, context)
        return tenths(number)


@click.command(
    epilog="\b\nExamples:\n  ./lockstep promote digits sha256:1f2e --share 5\n"
    "  ./lockstep promote digits 1f2e --share 25 --region local-a\n"
    "  ./lockstep promote digits 1f2e --share 5 --dry-run"
)
@click.argument("model")
@click.argument("release")
@click.option("--share", "percent", type=Percent(), required=True, help="Percent of each region's traffic.")
@click.option("--region", "regions", multiple=True, help="Only this region; may be given again.")
@stack_option
@dry_run_option
@output_option
def command(
    model: str, release: str, percent: float, regions: tuple[str, ...], stack: str, dry_run: bool, output: str
) -> None:
    """Give RELEASE (a digest or its beginning) exactly this share of MODEL's traffic.

    Places it into the free slot at 0 where it is not there yet (one update), then moves each region once
    (one update each). Never climbs the ladder by itself: a share that is not one allowed step away is
    refused before anything is placed.
    """
    context = open_context(stack)
    digest = _release(context, release)
    with nullcontext() if dry_run else context.change.exclusive():
        chosen = regions or tuple(sorted(context.settings.table.get(model, {})))
        tables = steps(context, model, digest, chosen, percent)
        ahead(context, model, digest, chosen, percent, record=not dry_run)
        if dry_run:
            context.change.judge(tables[0], record=False)
        else:
            for number, table in enumerate(tables, 1):
                with timed(f"update {number} of {len(tables)}"):
                    context.change.apply(table, model=model)
            record_history(context)
    head = context.ledger.head()
    document: dict[str, Any] = {"release": digest, "model": model, "regions": list(chosen), "share": percent}
    done = f"{model}: {short(digest)} has {percent:g} % in {', '.join(chosen)}\nlog head {head}"
    emit(
        output,
        "promote",
        {**document, "dry_run": dry_run, "head": str(head)},
        lambda: _would(digest, chosen, percent, tables) if dry_run else done,
    )


def _release(context: Context, name: str) -> str:
    return context.ledger.stack.store(context.settings.release_store).resolve(name)


def steps(
    context: Context, model: str, release: str, regions: tuple[str, ...], percent: float
) -> list[Table]:
    """The tables to go through: all placements at once, then one region a time. Raises UsageError."""
    state = context.ledger.state()
    declared = context.settings.table
    if state is None or state.table != declared or state.open_intent is not None:
        raise UsageError(
            "the stack file and the record do not agree",
            code="promote.not_settled",
            remedy="run `./lockstep up` first",
        )
    require_cell(declared, model, regions[0] if regions else "")
    table, tables = declared, []
    for region in regions:
        standing = state.standing.get(model, {}).get(region)
        table = placed(table, model, region, release, standing)
    if table != declared:
        tables.append(table)
    for region in regions:
        after = moved(table, model, region, release, percent)
        if after != table:
            tables.append(after)
        table = after
    if not tables:
        raise UsageError(
            f"{short(release)} has {percent:g} % there already",
            code="promote.nothing_to_do",
            remedy="see `./lockstep status`",
        )
    return tables


def ahead(
    context: Context, model: str, release: str, regions: tuple[str, ...], percent: float, *, record: bool
) -> None:
    """Refuse a share that is not one allowed step from the present one, before anything is placed.

    Asks policy about each region's move as if the placement had been made and had become ready; what it
    finds wrong with readiness is left to the real update. Raises Denied and leaves a `denied` record.
    """
    ledger = context.ledger
    state = ledger.state()
    assert state is not None
    observed = ledger.look(state, context.settings.table)
    for region in regions:
        cell = require_cell(context.settings.table, model, region)
        standing = state.standing.get(model, {}).get(region)
        base = placed(state.table, model, region, release, standing)
        target = moved(base, model, region, release, percent)
        if target == base:
            continue
        there = base[model][region]
        ready: dict[str, bool | None] = {slot: there[slot] is not None for slot in ("blue", "green")}
        supposed = replace(
            state,
            table=base,
            ready={**state.ready, model: {**state.ready.get(model, {}), region: ready}},
        )
        seen = replace(
            observed,
            live={**observed.live, (model, region): there},
            serving={**observed.serving, (model, region): {slot: there[slot] for slot in ("blue", "green")}},
        )
        proposed = Plan("step", base, target, {})
        step_line(f"asking policy: {region} from {share(cell, release):g} % to {percent:g} %")
        decision = ledger.ask(proposed, supposed, seen)
        if not decision.allow:
            if record:
                context.change.record_denied(replace(proposed, origin=state.table), decision)
            raise Denied(decision.violations)


def _would(release: str, regions: tuple[str, ...], percent: float, tables: list[Table]) -> str:
    return (
        f"would run {len(tables)} update(s) so that {short(release)} has {percent:g} % in "
        f"{', '.join(regions)}; policy allows the first"
    )
