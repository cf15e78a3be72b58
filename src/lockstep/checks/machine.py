"""What this machine lacks for a stack on AWS: the engine's plugins, the program aws, and credentials."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep.checks.problem import Problem

if TYPE_CHECKING:
    from lockstep.workspace import Workspace

NO_CREDENTIALS = "aws.no_credentials"
PLUGINS = {"aws": "pulumi-aws", "kubernetes": "pulumi-kubernetes"}
"""The engine's name for a provider -> the Python package that speaks to it; both have one version."""


def problems(workspace: Workspace) -> list[Problem]:
    own = _named_by_project(workspace.file.project_file)
    plugins = workspace.paths.state / "pulumi" / "plugins"
    return [*_plugins(plugins, own), *(() if "kubernetes" in own else _tokens()), *_credentials()]


def _named_by_project(file: Path) -> set[str]:
    """The plugins for which the project names a folder: the engine starts those, and no installed ones."""
    import yaml

    named = (yaml.safe_load(file.read_text()).get("plugins") or {}).get("providers") or []
    return {str(each["name"]) for each in named}


def no_credentials(found: Sequence[Problem]) -> bool:
    """Whether an account cannot be asked anything."""
    return any(each.code == NO_CREDENTIALS for each in found)


def _plugins(folder: Path, own: Collection[str]) -> Iterator[Problem]:
    """The engine is not allowed to fetch plugins by itself: what runs is what was installed on purpose."""
    for name, package in PLUGINS.items():
        version = metadata.version(package)
        if name in own or (folder / f"resource-{name}-v{version}").is_dir():
            continue
        yield Problem(
            "plugin.missing",
            f"the engine's plugin {name} {version} is not installed",
            f'eval "$(./lockstep env)" && pulumi plugin install resource {name} {version}; without the '
            f"internet: get pulumi-resource-{name}-v{version}-<system>.tar.gz elsewhere, add --file <it>",
        )


def _tokens() -> Iterator[Problem]:
    """The engine's Kubernetes plugin runs this program for a token of each cluster: none is in the state."""
    if shutil.which("aws") is None:
        yield Problem(
            "aws.no_program",
            "the program aws, which gets the tokens of the clusters, is not on the PATH",
            "install the AWS CLI, version 2",
        )


def _credentials() -> Iterator[Problem]:
    from lockstep.boto import has_credentials

    if not has_credentials():
        profile = os.environ.get("AWS_PROFILE")
        yield Problem(
            NO_CREDENTIALS,
            f"there are no AWS credentials{f' in the profile {profile}' if profile else ''}",
            "aws sso login, or set AWS_PROFILE; in CI assume the role by OIDC (docs/aws.md)",
        )
