"""The offline project: a folder in which the real engine finds the stand-ins instead of the real providers.

<state>/offline/<stack>/
  Pulumi.yaml            written from the checkout's, with the stand-ins as its plugins
  Pulumi.<stack>.yaml    written from the checkout's, with what the caller puts over it
  backend/ home/         the engine's own, so that nothing of the checkout's is touched or needed
  passphrase
  account/               what the stand-ins remember, and the faults that a test asks for

The committed Pulumi.yaml goes on to mean the real providers.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep.errors import UsageError
from lockstep.files import write_atomic
from lockstep.paths import Paths
from lockstep.toolchain import Toolchain
from lockstep.workspace import Workspace

BANNER = "offline: computed by stand-ins for AWS and Kubernetes; nothing here was asked of a real account"
"""The line that every output which comes from a stand-in shows."""

PROVIDERS = ("aws", "kubernetes")
STATE_VARIABLE = "LOCKSTEP_STANDIN"
"""Names the folder `account` to the stand-ins' processes."""
ABSENT = "offline"
"""What stands in for a secret of the stack: the key that would open it is not asked for."""


@dataclass(frozen=True)
class OfflineProject:
    """A folder that is ready for `pulumi -C <folder>` under `environment`."""

    folder: Path
    stack: str

    @property
    def account(self) -> Path:
        return self.folder / "account"

    @property
    def workspace(self) -> Workspace:
        return Workspace(Paths(root=self.folder, state=self.folder), self.stack, offline=True)

    @property
    def variables(self) -> dict[str, str]:
        """What the engine is told beyond a workspace's own variables."""
        return {"PULUMI_HOME": str(self.folder / "home"), STATE_VARIABLE: str(self.account)}

    def environment(self, toolchain: Toolchain) -> dict[str, str]:
        """The variables under which the engine works on this folder alone."""
        return {**self.workspace.environment(toolchain), **self.variables}


def make(
    paths: Paths,
    stack: str,
    *,
    config: Mapping[str, Any] | None = None,
    program: Path | None = None,
    folder: Path | None = None,
) -> OfflineProject:
    """Write the project of a stack; what the account remembers from before stays.

    config: keys of the stack's config to put over the checkout's. program: the program's folder, where it
    is not the checkout's. Raises UsageError `standin.no_stack` for a stack without a file.
    """
    made = OfflineProject(folder or paths.state / "offline" / stack, stack)
    for each in (made.account, made.folder / "backend", made.folder / "home"):
        each.mkdir(parents=True, exist_ok=True)
    passphrase = made.folder / "passphrase"
    if not passphrase.exists():
        write_atomic(passphrase, secrets.token_urlsafe(32).encode(), mode=0o600)
    _write(made.folder / "Pulumi.yaml", _project(paths, program))
    _write(made.folder / f"Pulumi.{stack}.yaml", _settings(paths, made, config or {}))
    return made


def state_folder() -> Path:
    """Where a stand-in remembers. Raises UsageError where it was started by anything but such a project."""
    named = os.environ.get(STATE_VARIABLE)
    if not named:
        raise UsageError(
            f"a stand-in was started without {STATE_VARIABLE}, so it is not known what it may write to",
            code="standin.no_state",
            remedy="use `./lockstep preview <stack> --offline`, which sets it",
        )
    return Path(named)


def _project(paths: Paths, program: Path | None) -> dict[str, Any]:
    """The checkout's project with absolute paths, and the stand-ins among its plugins."""
    project = _read(paths.root / "Pulumi.yaml")
    project["main"] = str(program or paths.root / project.get("main", "."))
    if program is not None:
        project.pop("config", None)  # the types of the checkout's own program
    plugins = project.setdefault("plugins", {})
    own = [
        {**plugin, "path": str(paths.root / plugin["path"])}
        for plugin in plugins.get("providers", [])
        if plugin["name"] not in PROVIDERS
    ]
    here = Path(__file__).parent
    there = [name for name in PROVIDERS if (here / name / "PulumiPlugin.yaml").exists()]
    plugins["providers"] = own + [{"name": name, "path": str(here / name)} for name in there]
    return project


def _settings(paths: Paths, made: OfflineProject, config: Mapping[str, Any]) -> dict[str, Any]:
    """The stack's file for the offline project's own key; the key that it has from before is kept."""
    file = paths.root / f"Pulumi.{made.stack}.yaml"
    if not file.exists() and not config:
        raise UsageError(
            f"there is no stack file {file.name}",
            code="standin.no_stack",
            remedy="name a stack whose file is in the checkout: staging or prod",
        )
    settings = _read(file) if file.exists() else {}
    for key in ("secretsprovider", "encryptedkey", "encryptionsalt"):
        settings.pop(key, None)
    before = made.folder / file.name
    salt = _read(before).get("encryptionsalt") if before.exists() else None
    known = {key: _without_secrets(value) for key, value in (settings.get("config") or {}).items()}
    return {**settings, "config": {**known, **config}, **({"encryptionsalt": salt} if salt else {})}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return ABSENT if set(value) == {"secure"} else {k: _without_secrets(v) for k, v in value.items()}
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value


def _read(file: Path) -> dict[str, Any]:
    import yaml

    document: dict[str, Any] = yaml.safe_load(file.read_text()) or {}
    return document


def _write(file: Path, document: Mapping[str, Any]) -> None:
    import yaml

    write_atomic(file, yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True).encode())
