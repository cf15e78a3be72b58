"""Which API server judges a provider's objects.

`clusters.json` in the state folder maps a name to an access. A provider means the cluster whose name is its
cluster identifier or context, or stands in one of them or in its kubeconfig: a region is a good name, because
every identifier of a cluster in it holds it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstep.errors import UsageError
from lockstep.files import write_atomic
from lockstep.standin.kubernetes.api import Access

NAME = "clusters.json"
DEFINITIONS = "definitions.json"
PREVIEW_NAMESPACES = {level: f"standin-preview-{level}" for level in ("privileged", "baseline", "restricted")}
"""Pod Security level -> a namespace that is always there. A dry run takes it for one that is yet to come."""


def write(folder: Path, clusters: Mapping[str, Access], judges: Mapping[str, Path] | None = None) -> None:
    """Say which clusters run. Only this user may read it: it holds tokens. judges: name -> folder of
    definitions, for charts that bring some."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {name: access.document() for name, access in clusters.items()}
    write_atomic(folder / NAME, json.dumps(document, indent=1).encode(), mode=0o600)
    folders = {name: str(path) for name, path in (judges or {}).items()}
    write_atomic(folder / DEFINITIONS, json.dumps(folders, indent=1).encode())


def definitions(folder: Path, names: Sequence[str]) -> list[Path]:
    """Where these definitions lie. Raises UsageError `standin.no_definitions` for one that nobody gave."""
    path = folder / DEFINITIONS
    known = json.loads(path.read_text()) if path.exists() else {}
    missing = [name for name in names if name not in known]
    if missing:
        raise UsageError(
            f"a chart brings {', '.join(missing)}, and nobody said where these definitions lie",
            code="standin.no_definitions",
            remedy="make them with lockstep.toolchain.judges and name them to kubernetes.access.write",
        )
    return [Path(known[name]) for name in names]


@dataclass(frozen=True)
class Meant:
    """The cluster that a provider means."""

    name: str
    access: Access


def find(folder: Path, said: Mapping[str, str]) -> Meant | None:
    """The cluster for a provider's settings; None where no clusters run at all.

    said: what the provider's configuration says of its cluster. Raises UsageError `standin.no_cluster` when
    clusters run and not exactly one is meant: an object must not be judged by a neighbour's.
    """
    path = folder / NAME
    if not path.exists():
        return None
    clusters = {name: Access(**access) for name, access in json.loads(path.read_text()).items()}
    exact = [name for name in clusters if name in said.values()]
    meant = exact or [name for name in clusters if any(name in text for text in said.values())]
    if len(meant) != 1:
        told = ", ".join(f"{key} {text[:80]!r}" for key, text in said.items()) or "nothing"
        raise UsageError(
            f"no single API server is meant by {told}: {', '.join(meant) or 'none'} of {', '.join(clusters)}",
            code="standin.no_cluster",
            remedy=f"give the provider a cluster_identifier that holds the name of one in {path}",
        )
    return Meant(meant[0], clusters[meant[0]])
