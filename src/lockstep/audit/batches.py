"""Which sizes of a log need no head: those inside a batch of records that got one head together."""

from __future__ import annotations

from lockstep.audit.about import Batch, batch_of
from lockstep.audit.problem import Findings
from lockstep.audit.record import Record


def of_one_batch(before: Record, record: Record) -> bool:
    """Whether a record continues the batch of the one before it."""
    batch = batch_of(record)
    return batch is not None and batch == batch_of(before)


class Batches:
    """What the records say about their batches, fed in order; None for a record that cannot be read."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._said: dict[int, Batch] = {}
        self._read: set[int] = set()

    def add(self, index: int, record: Record | None) -> None:
        batch = batch_of(record) if record is not None else None
        if record is not None:
            self._read.add(index)
        if batch is None:
            return
        self._said[index] = batch
        if batch.first < index and index - 1 in self._read and self._said.get(index - 1) != batch:
            self._findings.add(
                "audit.batch_wrong",
                f"record {index} says that it is of a batch from {batch.first} on, record {index - 1} is not",
                index=index,
            )

    def inside_all(self) -> set[int]:
        """Every size that needs no head."""
        return {size for index in self._said for size in (index, index + 1) if self.inside(size)}

    def inside(self, size: int) -> bool:
        """Whether no head was due at this size: the records before and after it are of one batch.

        For one of them that cannot be read the other one's word is taken.
        """
        before, after = size - 1, size
        said = self._said.get(before) or self._said.get(after)
        if said is None or not (said.covers(before) and said.covers(after)):
            return False
        return all(self._said.get(one) == said for one in (before, after) if one in self._read)
