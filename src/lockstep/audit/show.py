"""A record as text for the person who has to judge it: who, when, what from and to, on whose word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lockstep.audit.about import batch_of, pruned_of, renewed_of, void_of
from lockstep.audit.note import Head
from lockstep.audit.record import Record
from lockstep.table import SLOTS, Cell, Table, at, cells, is_withdrawn, release_in, short, slot_share

_COLUMN = 11
_TITLES = {
    "intent": "intent: a change is about to be made",
    "outcome": "outcome: what came of intent {intent}",
    "denied": "denied: policy refused a change, nothing was changed",
    "rollback": "rollback: a person decided to leave a release",
    "retry": "retry: a person let a barred release try again",
    "history": "history: Pulumi's own files, listed so that editing them shows",
    "void": "void: what lies at {void} is no record and does not count",
    "renewed": "renewed: locks were extended",
    "pruned": "pruned: the oldest records were deleted",
}
_CHANGES = {
    "first": "first placement",
    "step": "step",
    "stand": "the probation is over: the release becomes the place to go back to",
    "withdraw": "withdrawal",
    "rollback": "rollback",
}


def page(record: Record, head: Head, outcome: Record | None = None) -> str:
    """One record in full. outcome: of an intent, when it has one."""
    void = void_of(record)
    title = _TITLES[record.kind].format(intent=record["intent"], void=void.index if void else "some place")
    lines = [f"Record {record.index} · {title}"]
    for name, texts in _parts(record, outcome):
        lines += _row(name, texts)
    lines += _row("log", [f"record {record.index} of {record['origin']}, leaf {record.digest}"])
    lines += _row("head", [f"{head.size} records, root {head.root}"])
    return "\n".join(lines)


def _row(name: str, texts: Sequence[str]) -> list[str]:
    return [f"  {name if i == 0 else '':<{_COLUMN}}{text}" for i, text in enumerate(texts)]


def _parts(record: Record, outcome: Record | None) -> Iterable[tuple[str, list[str]]]:
    yield "when", [_when(record.time)]
    yield "who", _who(record)
    if record["git"]:
        commit = str(record["git"]["commit"])[:12]
        yield "code", [f"git {commit}" + (", with changes not committed" if record["git"]["dirty"] else "")]
    if record["change"]:
        yield "change", [_CHANGES[record["change"]]]
    moved = changes(record["from"] or {}, _after(record))
    if record.kind in ("intent", "outcome", "denied"):
        yield "traffic", moved or ["no share and no slot changes"]
    if record["digest"]:
        yield "release", [record["digest"]]
    if record["target"]:
        yield "back to", [_cell_text(m, r, cell) for m, r, cell in cells(record["target"])]
    if record["decision"]:
        yield "decision", _decision(record["decision"])
    if record["releases"]:
        yield "releases", list(record["releases"])
    if record["evidence"]:
        yield "evidence", list(record["evidence"])
    if record["reason"]:
        yield "reason", [record["reason"]]
    yield from _about(record)
    if record["result"]:
        yield "result", _result(record)
    if record["marked"]:
        yield "standing", _marks(record)
    if record.kind == "intent":
        text = "none yet: this change is open" if outcome is None else _brief_outcome(outcome)
        yield "outcome", [text]
    yield from _history(record)


def _about(record: Record) -> Iterable[tuple[str, list[str]]]:
    void, renewed, pruned, batch = void_of(record), renewed_of(record), pruned_of(record), batch_of(record)
    if void:
        yield "object", [f"record/{void.index:010d}, {void.digest}"]
    if renewed:
        lapsed = f"; {renewed.lapsed} locks had ended before" if renewed.lapsed else ""
        said = f"all of the first {renewed.size} records' objects until {renewed.until:%Y-%m-%d %H:%M} UTC"
        yield "locked", [said + lapsed]
    if pruned:
        yield "deleted", [f"the records below {pruned.size}, whose tree has the root {pruned.root}"]
    if batch:
        yield "batch", [f"one of {batch.count} records from {batch.first} on under one head"]


def _when(time: str) -> str:
    return f"{time[:10]} {time[11:19]} UTC"


def _who(record: Record) -> list[str]:
    proven = f"{record.person}, proven by the signature of key {record.keyid[:16]}..."
    return [proven, f"called themselves {record['actor']['claimed']!r} (not proven)"]


def _after(record: Record) -> Table:
    """The table that a record speaks of as the result."""
    table: Table | None = record["to"]
    if record.kind == "outcome" and record["result"] != "complete":
        table = record["live"]
    return table or {}


def percent(value: float) -> str:
    return f"{value:g} %"


def changes(before: Table, after: Table) -> list[str]:
    """What differs between two tables, a line a slot: `local-a: green sha256:.. 0 % -> 5 %`."""
    lines = []
    for model, region in sorted({(m, r) for table in (before, after) for m, r, _ in cells(table)}):
        old, new = at(before, model, region), at(after, model, region)
        if old != new:
            lines += _cell_changes(f"{model} in {region}: ", old, new)
    return lines


def _cell_changes(name: str, old: Cell | None, new: Cell | None) -> list[str]:
    if new is None:
        return [f"{name}leaves the fleet"]
    if is_withdrawn(new):
        return [f"{name}withdrawn, its route answers 404 (was serving {_serving(old)})"]
    lines = []
    for slot in SLOTS:
        was, now = release_in(old, slot), release_in(new, slot)
        share = (percent(slot_share(old, slot)), percent(slot_share(new, slot)))
        shares = f"at {share[0]}" if share[0] == share[1] else " -> ".join(share)
        if was != now:
            lines.append(f"{name}{slot:<5} {_replacement(was, now)}, {shares}")
        elif now is not None and slot_share(old, slot) != slot_share(new, slot):
            lines.append(f"{name}{slot:<5} {short(now)}, {shares}")
    return lines


def _replacement(was: str | None, now: str | None) -> str:
    if was is None:
        return f"{short(now)} placed"
    return f"{short(was)} taken out" if now is None else f"{short(now)} takes the place of {short(was)}"


def _serving(cell: Cell | None) -> str:
    parts = [
        f"{short(release_in(cell, slot))} at {percent(slot_share(cell, slot))}"
        for slot in SLOTS
        if slot_share(cell, slot) > 0
    ]
    return " and ".join(parts) or "nothing"


def _cell_text(model: str, region: str, cell: Cell) -> str:
    return f"{model} in {region}: " + ("withdrawn" if is_withdrawn(cell) else _serving(cell))


def _decision(decision: Mapping[str, Any]) -> list[str]:
    lines = ["allowed" if decision["allow"] is True else "DENIED"]
    lines[0] += f" by policies {decision.get('revision') or '(no revision)'}"
    if decision.get("input_digest"):
        lines.append(f"asked about input {decision['input_digest']}")
    said: dict[str, list[str]] = {}
    for violation in decision.get("violations") or []:
        where = f" ({violation['cell']})" if violation.get("cell") else ""
        said.setdefault(str(violation.get("code")), []).append(f"NO{where}: {violation.get('message')}")
    looked = dict(decision.get("looked") or {})
    for rule in sorted({*looked, *said}):
        number = looked.get(rule)
        counted = "" if number is None else f" looked at {number} cell{'' if number == 1 else 's'},"
        for answer in said.get(rule, ["no objection"]):
            lines.append(f"  {rule}{counted} {answer}")
    return lines


def _result(record: Record) -> list[str]:
    said = {
        "complete": "complete: the live table was read back and is the target",
        "interrupted": "INTERRUPTED: the live table is not the target",
        "failed": "FAILED",
    }
    return [said[record["result"]]]


def _marks(record: Record) -> list[str]:
    verb = "is now" if record.kind == "outcome" else "becomes, once complete,"
    return [
        f"{model} in {region}: {short(release)} {verb} the release to go back to"
        for model, regions in sorted(record["marked"].items())
        for region, release in sorted(regions.items())
    ]


def _brief_outcome(outcome: Record) -> str:
    return f"record {outcome.index}, {outcome['result']}, {_when(outcome.time)}"


def _history(record: Record) -> Iterable[tuple[str, list[str]]]:
    if record["history"]:
        yield "history", [f"{item['name']} sha256:{item['sha256'][:12]}..." for item in record["history"]]
    elif record["history_reason"]:
        yield "history", [f"no files listed: {record['history_reason']}"]
