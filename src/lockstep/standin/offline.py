"""A stack that nobody asks an account about: for previews only.

There is no log and nothing is live, and both are facts as the gate takes them, not missing ones. Releases and
the trust in their evidence are those of the folder that `sample` made. What would be recorded is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep.errors import UsageError
from lockstep.gate.judge import Observed
from lockstep.paths import Paths
from lockstep.standin.sample import TRUST
from lockstep.table import Table

if TYPE_CHECKING:
    from lockstep.audit.opened import OpenLog
    from lockstep.evidence.keys import Trust
    from lockstep.local.drift import Drift
    from lockstep.release.store import Store


@dataclass(frozen=True)
class OfflineStack:
    """folder: what `sample.samples` made. See lockstep.ledger.stack for what each method promises."""

    paths: Paths
    name: str
    folder: Path

    @property
    def opa(self) -> Path:
        from lockstep.toolchain import require

        return require().opa

    @property
    def patience_s(self) -> float:
        return 0.0

    @property
    def history(self) -> Path | str:
        return "offline: nothing was ever applied"

    def open_log(self, *, environment: str, bucket: str, write: bool) -> OpenLog | None:
        """No log. Raises UsageError `offline.writes` for whoever wants to add to one."""
        if write:
            raise UsageError(
                "an offline run was about to record a change, and what it shows is made up",
                code="offline.writes",
                remedy="only preview is for offline; without LOCKSTEP_OFFLINE the command asks the account",
            )
        return None

    def trust(self, environment: str) -> Trust:
        from lockstep.evidence.keys import read_trust

        return read_trust(self.folder / TRUST, environment)

    def store(self, url: str) -> Store:
        """The folder's store, whatever the config names: nothing is asked over the network."""
        from lockstep.release.folder import FolderStore

        return FolderStore(self.folder / "store")

    def observe(self, recorded: Table, regions: Collection[str]) -> Observed:
        return Observed({}, {})

    def strays(self, regions: Iterable[str]) -> Sequence[Drift]:
        return ()

    def drift(
        self, recorded: Table, *, bucket: str, port: int, regions: Sequence[str], runtime: str
    ) -> Sequence[Drift]:
        return ()

    @property
    def answers(self) -> bool:
        return False

    def alive(self) -> Collection[str]:
        return ()
