"""The seam to where a stack runs: what the ledger asks of it, whichever the target is.

Adapters: `local.stack.LocalStack` (processes on this machine), `aws.stack.AwsStack` (buckets and clusters),
`standin.offline.OfflineStack` (nothing, for previews); `targets.stack_of` chooses.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lockstep.table import Table

if TYPE_CHECKING:
    from lockstep.audit.opened import OpenLog
    from lockstep.evidence.keys import Trust
    from lockstep.gate.judge import Observed
    from lockstep.local.drift import Drift
    from lockstep.paths import Paths
    from lockstep.release.store import Store


class Stack(Protocol):
    """One stack of this checkout. Nothing is asked or started before a method is called."""

    @property
    def paths(self) -> Paths: ...

    @property
    def name(self) -> str: ...

    @property
    def opa(self) -> Path:
        """The binary of a private OPA."""

    @property
    def patience_s(self) -> float:
        """For how long an outcome looks again at what is not yet as it was meant to be."""

    @property
    def history(self) -> Path | str:
        """The folder of the engine's history files, or in words why there is none."""

    def open_log(self, *, environment: str, bucket: str, write: bool) -> OpenLog | None:
        """The audit log; None where there is none yet. write: with what it takes to add to it.

        Raises Unavailable when the bucket does not answer; IntegrityError `audit.log_gone` when there is no
        log where a kept head says that there was one.
        """

    def trust(self, environment: str) -> Trust:
        """The people whose signatures count."""

    def store(self, url: str) -> Store:
        """The release store that the stack's config names; empty: the stack's own."""

    def observe(self, recorded: Table, regions: Collection[str]) -> Observed:
        """What is live now. recorded: the table of the newest outcome; regions: all that record and config
        name. A place that does not answer maps to None or is left out; one that answers, without the route
        that the record gives it, is vacant. One whose region answers, and of which nobody can tell, is
        None with the reason among the doubts."""

    def strays(self, regions: Iterable[str]) -> Sequence[Drift]:
        """What these regions' gateways do with requests that nobody told them."""

    def drift(
        self, recorded: Table, *, bucket: str, port: int, regions: Sequence[str], runtime: str
    ) -> Sequence[Drift]:
        """What is otherwise there than Lockstep left it, beyond what an engine's refresh would show."""

    @property
    def answers(self) -> bool:
        """Whether there is anything to ask and to write to before something is started."""

    def alive(self) -> Collection[str]:
        """Names of the stack's processes that run on this machine."""
