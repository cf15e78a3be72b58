"""Drafts of the records that change the state: they carry what the fold says after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lockstep.audit.record import Record, draft
from lockstep.audit.state import Marks, State, carried, step
from lockstep.errors import UsageError
from lockstep.table import Table, releases


def draft_intent(
    *,
    claimed: str,
    from_: Table,
    to: Table,
    change: str,
    decision: Mapping[str, Any],
    marked: Marks,
    evidence: Sequence[str] = (),
    **fields: Any,
) -> dict[str, Any]:
    """An intent: from one table to another, with the decision that allowed it.

    change: `step`, `stand`, `withdraw`, `first` or `rollback`; marked: the standing marks that a complete
    outcome will make; further fields: git, history, history_reason, reason, digest, target.
    """
    return draft(
        "intent",
        claimed=claimed,
        from_=from_,
        to=to,
        change=change,
        decision=dict(decision),
        marked=marked,
        evidence=list(evidence),
        releases=sorted({*releases(from_), *releases(to)}),
        **fields,
    )


def draft_outcome(
    state: State,
    intent: Record,
    *,
    live: Table | None,
    ready: Mapping[str, Any] | None,
    result: str,
    claimed: str,
    **fields: Any,
) -> dict[str, Any]:
    """The one outcome of an open intent, with the maps that the fold yields.

    state: before the outcome, with this intent open. live: the table that was read back (all of it).
    result: `complete` makes the marks that the intent announced, `interrupted` and `failed` make none.
    Further fields: git, history, history_reason, reason, evidence.
    Raises UsageError `audit.no_open_intent` when the log says that the intent is closed.
    """
    if state.open_intent is None or state.open_intent.index != intent.index:
        raise UsageError(
            f"intent {intent.index} is not open",
            code="audit.no_open_intent",
            remedy="an intent gets exactly one outcome; read the log again",
        )
    going_back = state.rollback if result != "complete" else None
    made = draft(
        "outcome",
        claimed=claimed,
        intent=intent.index,
        from_=intent["from"],
        to=intent["to"],
        live=live,
        ready=dict(ready or {}),
        result=result,
        change=intent["change"],
        marked=(intent["marked"] or {}) if result == "complete" else {},
        releases=sorted(
            {*releases(intent["from"] or {}), *releases(intent["to"] or {}), *releases(live or {})}
        ),
        digest=going_back["digest"] if going_back else None,
        target=going_back["target"] if going_back else None,
        **fields,
    )
    return made | carried(step(state, _foreseen(state.size, made)))


def draft_rollback(
    state: State, *, digest: str, target: Table, reason: str, claimed: str, **fields: Any
) -> dict[str, Any]:
    """A person's decision to leave a release: bars it, and names the table to go back to."""
    made = draft("rollback", claimed=claimed, digest=digest, target=target, reason=reason, **fields)
    made["releases"] = sorted({digest, *releases(target)})
    return made | {"barred": carried(step(state, _foreseen(state.size, made)))["barred"]}


def draft_retry(state: State, *, digest: str, reason: str, claimed: str, **fields: Any) -> dict[str, Any]:
    """A person's decision to let a barred release try again."""
    made = draft("retry", claimed=claimed, digest=digest, reason=reason, releases=[digest], **fields)
    return made | {"barred": carried(step(state, _foreseen(state.size, made)))["barred"]}


def _foreseen(index: int, made: Mapping[str, Any]) -> Record:
    """The draft as the record that it will be, for the fold."""
    return Record(index, made["kind"], "", "", "", made, b"")
