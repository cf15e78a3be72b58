"""A preview on the real engine with stand-ins for the cloud: what a stack would be, and nobody asked."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lockstep.standin import project, sample
from lockstep.table import Table
from lockstep.targets import OFFLINE
from lockstep.workspace import Workspace

if TYPE_CHECKING:
    from lockstep.deploy import Plan
    from lockstep.gate.decision import Decision
    from lockstep.paths import Paths
    from lockstep.toolchain import Toolchain

Progress = Callable[[str], None]


@dataclass(frozen=True)
class OfflinePreview:
    """table: what the gate was asked, with the sample in every place; decision: its answer, None if nothing
    was due; plan: every resource."""

    stack: str
    environment: str
    table: Table
    decision: Decision | None
    plan: Plan


def preview(
    paths: Paths, stack: str, toolchain: Callable[[], Toolchain], progress: Progress
) -> OfflinePreview:
    """Preview one stack of the checkout in a project of its own, made anew: nothing is there before.

    Raises what the real preview would: UsageError, Denied, LockstepError `engine.failed`.
    """
    from lockstep.deploy import Engine
    from lockstep.ledger import Ledger
    from lockstep.standin.offline import OfflineStack

    settings = Workspace(paths, stack).file.settings()
    folder = paths.state / "offline" / stack
    shutil.rmtree(folder, ignore_errors=True)
    made = sample.samples(folder / "sample", sorted(settings.table))
    declared = sample.offline_settings(settings, made)
    offline = project.make(paths, stack, config=sample.offline_config(settings, made), folder=folder)
    ledger = Ledger(
        OfflineStack(paths, stack, folder / "sample"),
        environment=settings.environment,
        bucket=settings.bucket,
        retention_days=settings.retention_days,
    )
    progress(f"asking the gate about {stack}")
    judged = ledger.judge(declared.table)
    more = {**offline.variables, OFFLINE: str(folder / "sample")}
    engine = Engine(offline.workspace, toolchain, progress, more)
    progress(f"previewing {stack}")
    plan = engine.plan()
    return OfflinePreview(
        stack, settings.environment, declared.table, None if judged is None else judged[1], plan
    )
