"""The records as a story: intents and outcomes in pairs, and maps that follow from what went before."""

from __future__ import annotations

from lockstep.audit.problem import Findings
from lockstep.audit.record import Record
from lockstep.audit.state import State, carried, resume, step

_OUTCOME_MAPS = ("standing", "former", "barred", "promotion", "cell_intent")
_CARRIED = {"outcome": _OUTCOME_MAPS, "rollback": ("barred",), "retry": ("barred",)}


class Story:
    """Folds records one by one and reports what does not follow.

    After one that cannot be read nothing is said, unless it turns out to be void: then it is as if it had
    never been there. since: where a pruned log begins, with an outcome that carries what held then.
    """

    def __init__(self, findings: Findings, since: int = 0) -> None:
        self._findings = findings
        self._since = since
        self._unread: set[int] = set()
        self._held: list[tuple[str, str, int]] = []
        self.state = State()
        self.listings: list[Record] = []

    def add(self, index: int, record: Record | None) -> None:
        """The next record, None for one that does not verify."""
        if record is None:
            self._unread.add(index)
            return
        if record["history"]:
            self.listings.append(record)
        if self._since and index == self._since:
            self._begin(record)
            return
        self._check_pair(record)
        after = step(self.state, record)
        expected = carried(after)
        for name in _CARRIED.get(record.kind, ()):
            if record[name] != expected[name]:
                self._wrong(
                    "fold_wrong", record, f"says {name} is {record[name]}, the log yields {expected[name]}"
                )
        self.state = after

    def excuse(self, index: int) -> None:
        """What lies at this index is void."""
        self._unread.discard(index)
        if not self._unread:
            self._tell()

    def _begin(self, record: Record) -> None:
        if record.kind != "outcome":
            self._wrong("prune_wrong", record, "is where the log begins, and no outcome")
            return
        self.state = resume(record)

    def _tell(self) -> None:
        for code, text, index in self._held:
            self._findings.add(code, text, index=index)
        self._held.clear()

    def _wrong(self, what: str, record: Record, message: str) -> None:
        text = f"record {record.index} ({record.kind}) {message}"
        self._held.append((f"audit.{what}", text, record.index))
        if not self._unread:
            self._tell()

    def _check_pair(self, record: Record) -> None:
        pending = self.state.open_intent
        if record.kind == "intent":
            if pending is not None:
                message = f"was written while intent {pending.index} had no outcome"
                self._wrong("outcome_wrong", record, message)
            elif record["from"] != self.state.table:
                self._wrong("fold_wrong", record, "starts from another table than the newest outcome left")
        if record.kind == "outcome":
            if pending is None or record["intent"] != pending.index:
                self._wrong("outcome_wrong", record, f"closes intent {record['intent']}, which is not open")
                return
            repeated = [name for name in ("from", "to", "change") if record[name] != pending[name]]
            if repeated:
                message = f"does not repeat {', '.join(repeated)} of its intent {pending.index}"
                self._wrong("outcome_wrong", record, message)
            if record["result"] == "complete" and record["live"] not in (None, record["to"]):
                self._wrong("outcome_wrong", record, "is complete, but the live table is not its target")
            marks = pending["marked"] if record["result"] == "complete" else {}
            if record["marked"] != marks:
                self._wrong("outcome_wrong", record, "makes other standing marks than its intent announced")
