"""`./lockstep status`: declared, recorded and live, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from lockstep.cli.context import Context, open_context, stack_option
from lockstep.cli.output import emit, output_option
from lockstep.errors import Unavailable
from lockstep.gate.judge import Observed
from lockstep.local.programs import gateway_name, service_name
from lockstep.table import SLOTS, Cell, Table, at, cells, is_withdrawn, release_in, short, slot_share
from lockstep.targets import LOCAL

if TYPE_CHECKING:
    from lockstep.local.drift import Drift


@click.command(epilog="\b\nExamples:\n  ./lockstep status\n  ./lockstep status --output json")
@stack_option
@output_option
def command(stack: str, output: str) -> None:
    """Show each model and region: declared and live weights, releases, health, records."""
    document = status(open_context(stack))
    emit(output, "status", document, lambda: _text(document))


def status(context: Context) -> dict[str, Any]:
    """What `status --output json` says."""
    state = context.ledger.state()
    settings = context.settings
    observed, odd = _observed(context)
    declared = settings.table
    recorded: Table = {} if state is None else state.table
    places = {(m, r) for table in (declared, recorded) for m, r, _ in cells(table)} | observed.live.keys()
    head = context.ledger.head()
    drift = list(_drift(context, recorded))
    bent = {each.process for each in drift if each.live}
    regions = []
    for model, region in sorted(places):
        cell = observed.live.get((model, region))
        entry = _region(
            model, region, at(declared, model, region), at(recorded, model, region), cell, observed
        )
        serving = {gateway_name(region), *(service_name(model, region, slot) for slot in SLOTS)}
        entry["healthy"] = entry["healthy"] and not bent & serving
        entry["standing"] = None if state is None else state.standing.get(model, {}).get(region)
        entry["record"] = None if state is None else state.cell_intent.get(model, {}).get(region)
        regions.append(entry)
    opened = None if state is None else state.open_intent
    return {
        "stack": context.workspace.stack,
        "entrypoint": settings.entrypoint,
        "up": _is_up(context, observed),
        "head": None if head is None else str(head),
        "open_intent": None if opened is None else opened.index,
        "odd": odd,
        "drift": [asdict(each) for each in drift],
        "policies": policies(context),
        "barred": [] if state is None else list(state.barred),
        "locks": _locks(context),
        "regions": regions,
    }


def _observed(context: Context) -> tuple[Observed, str]:
    """What is live, and why not all of it can be told."""
    try:
        return context.ledger.look(context.ledger.state(), context.settings.table), ""
    except Unavailable as error:
        if context.settings.target == LOCAL:
            return Observed(context.local.live(strict=False), context.local.serving()), error.message
        return Observed({}, {}), error.message


def _is_up(context: Context, observed: Observed) -> bool:
    """Whether requests are taken: by the entry point on this machine, or by some region elsewhere."""
    if context.settings.target == LOCAL:
        return "entry" in context.local.alive()
    return any(cell is not None for cell in observed.live.values())


def _drift(context: Context, recorded: Table) -> Iterator[Drift]:
    """What is otherwise on this machine than Lockstep left it; of a stack elsewhere the engine tells."""
    if context.settings.target != LOCAL:
        return
    from lockstep.evidence.local_keys import trusts_own_keys
    from lockstep.local.drift import Drift
    from lockstep.toolchain import find

    paths = context.workspace.paths
    if not trusts_own_keys(paths):
        name = paths.local_trust.relative_to(paths.root)
        yield Drift("trust.edited", "", f"{name} does not trust exactly this checkout's keys")
    if find() is None:
        message = "the outside programs are not there or were changed since they were made"
        yield Drift("toolchain.changed", "", message, live=False)
        return
    settings = context.settings
    yield from context.local.drift(
        recorded,
        bucket=settings.bucket,
        port=settings.port,
        regions=settings.regions,
        runtime=settings.runtime,
    )


def policies(context: Context) -> dict[str, Any]:
    """The checkout's policies, and those that judged the newest outcome: its intent's decision names them."""
    from lockstep.gate.bundle import Policies

    state, audit = context.ledger.state(), context.ledger.audit()
    outcome = None if state is None else state.newest_outcome
    judged = None
    if outcome is not None and audit is not None:
        decision = audit.log.read(int(outcome["intent"]))["decision"] or {}
        judged = decision.get("revision")
    checkout = Policies.read(context.workspace.paths.policies).revision
    return {"checkout": checkout, "judged": judged, "same": judged in (None, checkout)}


def _locks(context: Context) -> dict[str, Any] | None:
    """When the first lock of the log ends, and whether that is soon; None without one."""
    from lockstep.audit.locks import ends_soon, first_end

    audit = context.ledger.audit()
    end = None if audit is None else first_end(audit.bucket)
    if end is None:
        return None
    soon = ends_soon(end, datetime.now(UTC), timedelta(days=context.settings.retention_days))
    return {"first_end": end.strftime("%Y-%m-%dT%H:%M:%SZ"), "soon": soon}


def _region(
    model: str,
    region: str,
    declared: Cell | None,
    recorded: Cell | None,
    live: Cell | None,
    observed: Observed,
) -> dict[str, Any]:
    serving = observed.serving.get((model, region), {})
    shown = live if live is not None else declared if declared is not None else recorded
    slots: dict[str, dict[str, Any]] = {
        slot: {"release": release_in(shown, slot), "ready": _ready(shown, slot, serving)} for slot in SLOTS
    }
    needed = [slots[slot]["ready"] for slot in SLOTS if slot_share(shown, slot) > 0]
    problems: list[str] = []
    if live is None:
        silent = "the gateway does not answer" if declared is not None else "not live"
        problems.append(observed.doubts.get((model, region), silent))
    elif recorded is not None and live != recorded:
        problems.append(f"live ({_words(live)}) is not what the record says ({_words(recorded)})")
    elif recorded is None:
        problems.append("live, but without a record")
    if declared != recorded:
        problems.append(f"declared ({_words(declared)}) is not in force yet: run `./lockstep up`")
    return {
        "model": model,
        "name": region,
        "healthy": live is not None and all(needed) and live == recorded,
        "declared": _weight(declared),
        "live": _weight(live),
        **slots,
        "problems": problems,
    }


def _ready(cell: Cell | None, slot: str, serving: dict[str, str | None]) -> bool:
    release = None if cell is None or is_withdrawn(cell) else cell[slot]
    return release is not None and serving.get(slot) == release


def _weight(cell: Cell | None) -> dict[str, Any]:
    if cell is None:
        return {"green_weight": None}
    if is_withdrawn(cell):
        return {"green_weight": None, "withdraw": cell["withdraw"]}
    return {"green_weight": cell["green_weight"]}


def _words(cell: Cell | None) -> str:
    if cell is None:
        return "nothing"
    if is_withdrawn(cell):
        return f"{short(cell['withdraw'])} withdrawn"
    parts = [
        f"{slot} {short(cell[slot])} {slot_share(cell, slot)} %" for slot in SLOTS if cell[slot] is not None
    ]
    return ", ".join(parts) or "both slots empty"


def _text(document: dict[str, Any]) -> str:
    lines = [
        f"stack {document['stack']}: entry point {document['entrypoint']}"
        + ("" if document["up"] else " (down: run `./lockstep up`)"),
        f"log head: {document['head']}",
    ]
    if document["open_intent"] is not None:
        lines.append(f"OPEN INTENT: record {document['open_intent']} has no outcome; run `./lockstep up`")
    if document["odd"]:
        lines.append(f"! {document['odd']}: run `./lockstep up`")
    told = document["policies"]
    if not told["same"]:
        lines.append(
            f"! policies: {told['checkout']} here, the newest outcome was judged by {told['judged']}"
        )
    for drift in document["drift"]:
        kind = "" if drift["live"] else " (file only)"
        lines.append(f"! drift{kind}: {drift['message']}: run `./lockstep up`")
    if document["locks"] and document["locks"]["soon"]:
        end = document["locks"]["first_end"]
        lines.append(f"! the first lock of the log ends at {end}: run `./lockstep audit renew`")
    for barred in document["barred"]:
        lines.append(f"barred after a rollback: {short(barred)}")
    for entry in document["regions"]:
        health = "healthy" if entry["healthy"] else "NOT HEALTHY"
        lines.append(f"\n{entry['model']} in {entry['name']}: {health}, last record {entry['record']}")
        weight = entry["live"]["green_weight"]
        for slot in SLOTS:
            percent = (
                "-" if weight is None else f"{weight if slot == 'green' else round(100 - weight, 1):g} %"
            )
            release = entry[slot]["release"]
            if release is None:
                lines.append(f"  {slot:<6} empty")
                continue
            notes = "ready" if entry[slot]["ready"] else "not ready"
            notes += ", standing" if release == entry["standing"] else ""
            lines.append(f"  {slot:<6} {short(release)}  {percent:>6}  {notes}")
        lines += [f"  ! {problem}" for problem in entry["problems"]]
    return "\n".join(lines)
