"""A checkout made ready: keys, passphrase, backend, releases, stack file, stack.

`prepare` does what is missing and nothing else, so it can run before every command that changes
something; `environment` is what plain `pulumi` needs to work in the same place.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from lockstep.errors import UsageError
from lockstep.files import write_atomic
from lockstep.lock import locked
from lockstep.paths import PROJECT, Paths, engine_locks_of
from lockstep.stackfile import StackFile
from lockstep.toolchain import Toolchain, ensure

if TYPE_CHECKING:
    from lockstep.checks import Problem

LOCAL, AWS = "local", "aws"
BACKEND = "PULUMI_BACKEND_URL"
COMPRESSED = "PULUMI_DIY_BACKEND_GZIP"
"""An engine without it reads what one with it has written, and the other way round."""
SHARED = ("s3://", "file://")
"""Where the state of a stack in the cloud may lie: a bucket; a folder, for whoever tries things out."""
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Workspace:
    """One checkout and one stack of it. offline: the stack is computed by stand-ins, and so is its state kept
    here, wherever it says that it runs."""

    paths: Paths
    stack: str
    offline: bool = False

    @property
    def file(self) -> StackFile:
        return StackFile(self.paths.root / f"Pulumi.{self.stack}.yaml", self.paths.root / "Pulumi.yaml")

    @property
    def in_cloud(self) -> bool:
        """Whether the stack's file says that it runs on AWS. The stack local never does, whatever
        its file has come to say."""
        return self.stack != LOCAL and self.file.path.exists() and self.file.target() == AWS

    @property
    def store_url(self) -> str:
        """The release store that the stack file names; the checkout's own where there is no such word."""
        from lockstep.stores import url_of

        return url_of(self.file.store() if self.file.path.exists() else "", self.paths.store)

    @property
    def state_bucket(self) -> str:
        """The URL of the bucket that has the engine's state; empty where a folder has it."""
        url = self._shared_backend()[BACKEND] if self._shares_state else ""
        return url if url.startswith("s3://") else ""

    @property
    def locks(self) -> Path:
        """The engine's locks of this stack, where a folder has its state."""
        root = self.paths.backend
        if self._shares_state:
            parts = urlsplit(self._shared_backend()[BACKEND])
            base = {"~": Path.home(), ".": self.paths.root}.get(parts.netloc, Path("/"))
            root = base / unquote(parts.path).lstrip("/")
        return root / engine_locks_of(self.stack)

    @property
    def state_file(self) -> Path:
        return self.paths.backend / ".pulumi" / "stacks" / PROJECT / f"{self.stack}.json"

    @property
    def passphrase(self) -> Path:
        return self.paths.state / "passphrase"

    def environment(self, toolchain: Toolchain) -> dict[str, str]:
        """The variables under which plain `pulumi` works on this checkout.

        A stack in the cloud has its state where PULUMI_BACKEND_URL says, and its secrets' key in its file.
        Raises UsageError `state.no_backend`.
        """
        venv = Path(sys.prefix)
        path = [str(toolchain.bin_dir), str(venv / "bin")]
        kept = [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if part not in path]
        return {
            "PATH": os.pathsep.join(path + kept),
            "VIRTUAL_ENV": str(venv),
            "PULUMI_HOME": str(self.paths.state / "pulumi"),
            **(self._shared_backend() if self._shares_state else self._own_backend()),
            "PULUMI_STACK": self.stack,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_PYTHON_CMD": str(venv / "bin" / "python"),
            "LOCKSTEP_STATE": str(self.paths.state),
        }

    @property
    def _shares_state(self) -> bool:
        return self.in_cloud and not self.offline

    def _own_backend(self) -> dict[str, str]:
        return {
            # Without the metadata sidecars: a kill while one is written leaves a state that cannot be read.
            "PULUMI_BACKEND_URL": f"file://{self.paths.backend}?metadata=skip",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.passphrase),
        }

    def _shared_backend(self) -> dict[str, str]:
        url = os.environ.get(BACKEND, "")
        if not url.startswith(SHARED):
            raise UsageError(
                f"{BACKEND} is {url or 'not set'}, and the state of {self.stack} is not this checkout's own",
                code="state.no_backend",
                remedy=f"export {BACKEND}=s3://<the state bucket>; docs/aws.md says how it is made, once",
            )
        # The engine writes the whole state at each step: gigabytes for one `up`, a twentieth of it so.
        return {BACKEND: url, COMPRESSED: "true"}


def prepare(workspace: Workspace, progress: Progress) -> Toolchain:
    """Make everything that a stack needs before the engine runs. Idempotent; locked.

    On this machine that is keys, releases and a stack file. In the cloud it is programs alone, and every
    problem of the stack is said before anything is asked of the account.
    """
    from lockstep.evidence.local_keys import ensure_local_keys, trusts_own_keys

    if workspace.stack != LOCAL:
        workspace.file.read_bytes()  # one that is not there is named before anything is made
        if not workspace.in_cloud:
            raise UsageError(
                f"the stack {workspace.stack!r} is to run on this machine, where only the stack local does",
                code="stack.no_target",
                remedy="use the stack local, or set lockstep:target to aws",
            )
        return _prepare_cloud(workspace, progress)
    paths = workspace.paths
    paths.state.mkdir(parents=True, exist_ok=True)
    toolchain = ensure(progress)
    with locked(paths.state / "prepare.lock", deadline_s=1800):
        if not trusts_own_keys(paths):
            progress(f"{paths.local_trust} did not trust exactly this checkout's keys: writing it again")
        ensure_local_keys(paths)
        if not workspace.passphrase.exists():
            write_atomic(workspace.passphrase, secrets.token_urlsafe(32).encode(), mode=0o600)
        paths.backend.mkdir(parents=True, exist_ok=True)
        if not workspace.file.path.exists():
            plain = build_digits(paths, progress)
            example = paths.root / f"Pulumi.{workspace.stack}.yaml.example"
            text = Template(example.read_text()).substitute(plain=plain)
            write_atomic(workspace.file.path, text.encode())
    if workspace.file.settings().target != LOCAL:  # a bad stack file is said before the engine starts
        raise UsageError(
            f"the stack local runs on this machine, and {workspace.file.path.name} says otherwise",
            code="stack.no_target",
            remedy="put lockstep:target: local back; a stack on AWS has another name",
        )
    return toolchain


def _prepare_cloud(workspace: Workspace, progress: Progress) -> Toolchain:
    """Raises UsageError `stack.unready` with every problem that `check` knows; before any program is made
    where the stack file itself is wrong, because then there is no plan for OPA to judge."""
    from lockstep.checks import is_readable, problems

    if not is_readable(workspace):
        raise unready(workspace.stack, problems(workspace))
    toolchain = ensure(progress)
    if found := problems(workspace):
        raise unready(workspace.stack, found)
    workspace.paths.state.mkdir(parents=True, exist_ok=True)
    return toolchain


def unready(stack: str, found: Sequence[Problem], remedy: str = "") -> UsageError:
    lines = "\n".join(f"  {each.message} [{each.code}]" for each in found)
    return UsageError(
        f"{stack} is not ready:\n{lines}",
        code="stack.unready",
        remedy=remedy or f"./lockstep check {stack} says what to do about each",
    )


def build_digits(paths: Paths, progress: Progress) -> str:
    """Build the two digits releases, where they are missing; the digest of the plain one."""
    from lockstep.evidence.signer import Signer
    from lockstep.stores import open_store, url_of

    store = open_store(url_of("", paths.store))
    built = {entry.name: entry.digest for entry in store.list("digits")}
    for variant in ("plain", "better"):
        if f"digits-{variant}" not in built:
            from lockstep.release.build import build

            signer = Signer.load(paths.keys / "builder.pem")
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            made = build(paths.root / "models" / "digits", variant, store, signer, now=now, progress=progress)
            built[f"digits-{variant}"] = made.digest
    return built["digits-plain"]
