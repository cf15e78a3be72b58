"""The definitions of custom resources, each a resource of its own and kept when the stack goes.

A chart that brought them would take them away with itself, and with them every object of their kinds. They
come out of their projects' Go modules, in versions that are pinned and whose bytes are checked like those of
the toolchain; descriptions are left out, which are most of their size and mean nothing to a cluster.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from infra.aws.kubernetes import Kubernetes

ALWAYS = ("gateway-api-crds", "envoy-gateway-crds", "keda-crds")
KARPENTER = "karpenter-crds"
KIND = "CustomResourceDefinition"


def wanted(capacity: str) -> tuple[str, ...]:
    """The folders of definitions, by how capacity is made. Auto Mode brings Karpenter's itself."""
    return (*ALWAYS, KARPENTER) if capacity == "karpenter" else ALWAYS


def definitions(inside: Kubernetes) -> list[pulumi.Resource]:
    """All of them. They wait for nothing but the cluster, and charts and objects wait for them."""
    return [
        k8s.apiextensions.CustomResource(
            f"definition-{inside.site.region}-{each['metadata']['name']}",
            api_version=each["apiVersion"],
            kind=each["kind"],
            metadata=each["metadata"],
            spec=each["spec"],
            opts=inside.options(retain_on_delete=True),
        )
        for each in known(wanted(inside.site.ground.cloud.capacity.by))
    ]


@cache
def known(folders: Sequence[str]) -> tuple[Mapping[str, Any], ...]:
    """The definitions in these folders, in the order of their names. Folders that are missing are made.

    Raises Unavailable `toolchain.*` where one cannot be made.
    """
    from lockstep.toolchain.judges import ensure

    made = ensure(folders, lambda line: print(line, file=sys.stderr))  # noqa: T201
    found = [each for folder in made.values() for each in _read(folder)]
    return tuple(sorted(found, key=lambda each: str(each["metadata"]["name"])))


def _read(folder: Path) -> Iterator[dict[str, Any]]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for path in sorted(folder.glob("*.yaml")):
        for each in yaml.load_all(path.read_text(), Loader=loader):
            if isinstance(each, dict) and each.get("kind") == KIND:
                about = each["metadata"]
                metadata = {key: about[key] for key in ("name", "annotations", "labels") if key in about}
                yield {**each, "metadata": metadata, "spec": short(each["spec"])}


def short(value: Any) -> Any:
    """A schema without its descriptions. A property that is called `description` is an object and stays."""
    if isinstance(value, dict):
        return {
            key: short(item)
            for key, item in value.items()
            if not (key == "description" and isinstance(item, str))
        }
    return [short(item) for item in value] if isinstance(value, list) else value
