"""A checkout made ready: keys, passphrase, backend, releases, stack file, stack.

`prepare` does what is missing and nothing else, so it can run before every command that changes
something; `environment` is what plain `pulumi` needs to work in the same place.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from string import Template

from lockstep.errors import UsageError
from lockstep.files import write_atomic
from lockstep.lock import locked
from lockstep.paths import PROJECT, Paths
from lockstep.stackfile import StackFile
from lockstep.toolchain import Toolchain, ensure

LOCAL = "local"
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Workspace:
    """One checkout and one stack of it."""

    paths: Paths
    stack: str

    @property
    def file(self) -> StackFile:
        return StackFile(self.paths.root / f"Pulumi.{self.stack}.yaml", self.paths.root / "Pulumi.yaml")

    @property
    def store_url(self) -> str:
        """The release store that the stack file names; the checkout's own where there is no such word."""
        from lockstep.stores import url_of

        return url_of(self.file.store() if self.file.path.exists() else "", self.paths.store)

    @property
    def locks(self) -> Path:
        return self.paths.backend / ".pulumi" / "locks" / "organization" / PROJECT / self.stack

    @property
    def state_file(self) -> Path:
        return self.paths.backend / ".pulumi" / "stacks" / PROJECT / f"{self.stack}.json"

    @property
    def passphrase(self) -> Path:
        return self.paths.state / "passphrase"

    def environment(self, toolchain: Toolchain) -> dict[str, str]:
        """The variables under which plain `pulumi` works on this checkout."""
        venv = Path(sys.prefix)
        path = [str(toolchain.bin_dir), str(venv / "bin")]
        kept = [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if part not in path]
        return {
            "PATH": os.pathsep.join(path + kept),
            "VIRTUAL_ENV": str(venv),
            "PULUMI_HOME": str(self.paths.state / "pulumi"),
            # Without the metadata sidecars: a kill while one is written leaves a state that cannot be read.
            "PULUMI_BACKEND_URL": f"file://{self.paths.backend}?metadata=skip",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.passphrase),
            "PULUMI_STACK": self.stack,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_PYTHON_CMD": str(venv / "bin" / "python"),
            "LOCKSTEP_STATE": str(self.paths.state),
        }


def prepare(workspace: Workspace, progress: Progress) -> Toolchain:
    """Make everything that the stack `local` needs before the engine runs. Idempotent; locked."""
    from lockstep.evidence.local_keys import ensure_local_keys, trusts_own_keys

    if workspace.stack != LOCAL:
        raise UsageError(
            f"the stack {workspace.stack!r} runs on AWS, which this version does not do yet",
            code="stack.no_target",
            remedy="use the stack local, which runs everything on this machine",
        )
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
    workspace.file.settings()  # a bad stack file is said before the engine starts
    return toolchain


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
