"""Where things lie on this machine. The only module that knows folder names; no state is read here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROJECT = "lockstep"
"""The Pulumi project's name, which the engine's folders and the log's origin line carry."""


@dataclass(frozen=True)
class Paths:
    """root: the checkout; state: its ignored state folder."""

    root: Path
    state: Path

    @property
    def keys(self) -> Path:
        """Private Ed25519 keys, one `<role>.pem` a role (PKCS#8, mode 0600)."""
        return self.state / "keys"

    @property
    def store(self) -> Path:
        """The default `file://` release store: an OCI image layout."""
        return self.state / "store"

    @property
    def backend(self) -> Path:
        """Pulumi's self-managed state backend."""
        return self.state / "backend"

    def history(self, stack: str) -> Path:
        """The engine's history files of a stack."""
        return self.backend / ".pulumi" / "history" / PROJECT / stack

    def backups(self, stack: str) -> Path:
        """The engine's copies of a stack's state, one an update."""
        return self.backend / ".pulumi" / "backups" / PROJECT / stack

    @property
    def policies(self) -> Path:
        return self.root / "policies"

    @property
    def local_trust(self) -> Path:
        """The ignored data file with this checkout's public keys; only the environment `local` loads it."""
        return self.policies / "data" / "local.json"

    def stack(self, name: str) -> StackPaths:
        return StackPaths(self.state / "stacks" / name)


@dataclass(frozen=True)
class StackPaths:
    root: Path

    @property
    def bucket_data(self) -> Path:
        """versitygw's posix root: bucket `b` is the folder `b` in it."""
        return self.root / "audit" / "data"

    @property
    def bucket_versions(self) -> Path:
        return self.root / "audit" / "versions"

    @property
    def run(self) -> Path:
        """Process state: supervisor config and logs, ports, gateway files."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        return self.run / "logs"


def origin_of(stack: str) -> str:
    """The origin line of a stack's audit log: project and stack."""
    return f"{PROJECT}/{stack}"


def engine_locks_of(stack: str) -> str:
    """Where the engine keeps the locks of a stack, beneath the root of its state backend."""
    return f".pulumi/locks/organization/{PROJECT}/{stack}"


def here() -> Paths:
    """The checkout that this package was loaded from; LOCKSTEP_STATE moves its state folder."""
    root = Path(__file__).resolve().parents[2]
    state = os.environ.get("LOCKSTEP_STATE")
    return Paths(root=root, state=Path(state).resolve() if state else root / ".lockstep")


def cache() -> Path:
    """Per-user cache for the toolchain and serving environments, shared by all checkouts."""
    explicit = os.environ.get("LOCKSTEP_CACHE")
    if explicit:
        return Path(explicit)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "lockstep"
