"""What a checkout still refers to: every release that a record, or a slot in a stack file, names.

Rollback targets, standing and former releases, barred ones and those of an open intent are all in records.
Nothing is guessed: what cannot be read or does not verify raises, so that nobody removes on half a picture.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from lockstep.canonical import canonical
from lockstep.errors import IntegrityError, LockstepError
from lockstep.lock import LockHeld, locked
from lockstep.paths import Paths
from lockstep.table import releases
from lockstep.workspace import LOCAL, Workspace

_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}")


def stacks(paths: Paths) -> list[str]:
    """Every stack of this checkout: with a stack file, with a folder of its own, or in Pulumi's state."""
    files = {path.name.split(".", 2)[1] for path in paths.root.glob("Pulumi.*.yaml")}
    folders = {path.name for path in _inside(paths.state / "stacks") if path.is_dir()}
    states = {
        path.name.removesuffix(".json")
        for path in _inside(Workspace(paths, LOCAL).state_file.parent)
        if path.name.endswith(".json")
    }
    return sorted(files | folders | states)


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


@contextmanager
def unchanged(paths: Paths) -> Iterator[None]:
    """No command changes a stack of this checkout within the block.

    Raises LockstepError `change.locked` at once where one does.
    """
    with ExitStack() as held:
        for stack in stacks(paths):
            root = paths.stack(stack).root
            if not root.is_dir():
                continue
            try:
                held.enter_context(locked(root / "change.lock", deadline_s=0))
            except LockHeld:
                raise LockstepError(
                    f"another command is changing the stack {stack}",
                    code="change.locked",
                    remedy="wait for it to end; a killed one holds nothing",
                ) from None
            (root / "change.holder").write_text(str(os.getpid()))
        yield


def referred(paths: Paths) -> frozenset[str]:
    """The digests that records and slots of this checkout name; other digests in records do no harm.

    Raises UsageError `config.*` for a stack file that cannot be read, IntegrityError `gc.log_unverified` and
    `gc.log_missing`, LockstepError `gc.not_settled`, and what opening a log raises.
    """
    found: set[str] = set()
    for stack in stacks(paths):
        workspace = Workspace(paths, stack)
        if (paths.stack(stack).root / "stack-file-before.json").exists():
            raise LockstepError(
                f"a command on the stack {stack} was killed before its stack file was put back",
                code="gc.not_settled",
                remedy="run `./lockstep up`, which puts it back",
            )
        environment, bucket = LOCAL, None
        if workspace.file.path.exists():
            settings = workspace.file.settings()
            found |= set(releases(settings.table))
            environment, bucket = settings.environment, settings.bucket
        found |= _recorded(workspace, environment, bucket)
    return frozenset(found)


def _recorded(workspace: Workspace, environment: str, bucket: str | None) -> set[str]:
    from lockstep.audit.local import open_local
    from lockstep.audit.verify import verify

    audit = open_local(workspace.stack, workspace.paths, environment=environment, bucket=bucket)
    if audit is None:
        if workspace.state_file.exists():
            raise IntegrityError(
                f"the stack {workspace.stack} is there, and its records are not",
                code="gc.log_missing",
                remedy="bring the audit bucket's folder back, or run `./lockstep up` if there never was one",
            )
        return set()
    report = verify(audit.bucket, audit.origin, audit.trust, audit.log_keys, now=datetime.now(UTC))
    if not report.ok:
        raise IntegrityError(
            f"the log of the stack {workspace.stack} does not verify: {report.problems[0]}",
            code="gc.log_unverified",
            remedy="run `./lockstep audit verify`; nothing is removed before the log is whole",
        )
    records = audit.log.tail(0)
    pending = audit.log.pending()
    named = b"".join(canonical(dict(one.fields)) for one in [*records, *([pending] if pending else [])])
    return {digest.decode() for digest in _DIGEST.findall(named)}
