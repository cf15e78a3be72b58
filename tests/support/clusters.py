"""Real control planes for tests: made once a run, with the definitions that the program's objects need."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from lockstep.standin.kubernetes import access
from lockstep.standin.kubernetes.cluster import Cluster, running
from lockstep.toolchain import judges

PROGRAMS = ("etcd", "kube-apiserver")
DEFINITIONS = ("gateway-api-crds", "envoy-gateway-crds", "karpenter-crds", "keda-crds")


@contextlib.contextmanager
def clusters(
    root: Path, names: Sequence[str], *, definitions: Sequence[str] = DEFINITIONS
) -> Iterator[dict[str, Cluster]]:
    """One a name, until the block ends; the judges are made first where they are not there yet."""
    made = judges.ensure([*PROGRAMS, *definitions], lambda line: click.echo(line, err=True))
    with running(root, names, made, definitions_of=definitions) as started:
        yield started


def tell(folder: Path, started: dict[str, Cluster]) -> None:
    """Say to a stand-in with this state folder which clusters run, and where charts find definitions."""
    made = judges.ensure(DEFINITIONS, lambda line: click.echo(line, err=True))
    access.write(folder, {name: each.access for name, each in started.items()}, made)
