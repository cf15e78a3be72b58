"""The definitions of custom resources: a release of their own in each cluster, kept when the stack goes.

A controller's chart that brought them would take them away with itself, and with them every object of their
kinds. They come out of their projects' Go modules, in versions that are pinned and whose bytes are checked
like those of the toolchain, and are packed into a chart in this checkout. One by one, as resources of the
engine, they were a megabyte of state a region and most of the time of a preview; as they are published, with
their descriptions, they are more than a release may hold.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pulumi_kubernetes as k8s

from infra.aws.kubernetes import Kubernetes
from lockstep.files import write_atomic
from lockstep.paths import here

ALWAYS = ("gateway-api-crds", "envoy-gateway-crds", "keda-crds")
KARPENTER = "karpenter-crds"
KIND = "CustomResourceDefinition"
NAME = "lockstep-definitions"
NAMESPACE = "kube-system"
WAIT_S = 300
FOLDER = Path(".lockstep") / "charts"
CHART = "Chart.yaml"
FORM = "2"
"""Counted up when the same sources are to give another chart."""

TEMPLATE = '{{ range $path, $_ := .Files.Glob "definitions/*" }}\n---\n{{ $.Files.Get $path }}\n{{ end }}\n'
"""Every file as it is: what looks like a template in a rule of a definition is none."""

KEEP = {"helm.sh/resource-policy": "keep"}


def wanted(capacity: str) -> tuple[str, ...]:
    """The folders of definitions, by how capacity is made. Auto Mode brings Karpenter's itself."""
    return (*ALWAYS, KARPENTER) if capacity == "karpenter" else ALWAYS


def definitions(inside: Kubernetes) -> k8s.helm.v3.Release:
    """All of them in one release. It waits for nothing but the cluster; charts and objects wait for it."""
    name = chart(wanted(inside.site.ground.cloud.capacity.by)).name
    return k8s.helm.v3.Release(
        f"definitions-{inside.site.region}",
        name=NAME,
        chart=f"../{(FOLDER / name).as_posix()}",  # the program's folder is where the engine looks from
        namespace=NAMESPACE,
        skip_crds=True,
        atomic=True,
        timeout=WAIT_S,
        opts=inside.options(retain_on_delete=True),
    )


def chart(folders: tuple[str, ...]) -> Path:
    """The chart of these folders, which is made where it is missing. Its name says what is in it.

    Raises Unavailable `toolchain.*` where a folder cannot be had.
    """
    from lockstep.toolchain.judges import ensure

    found = ensure(folders, lambda line: print(line, file=sys.stderr))  # noqa: T201
    sources = "\n".join([FORM, TEMPLATE, *(folder.parent.name for folder in found.values())])
    made = here().root / FOLDER / f"definitions-{hashlib.sha256(sources.encode()).hexdigest()[:12]}"
    if not (made / CHART).exists():
        _write(made, found)
    return made


def _write(made: Path, found: Mapping[str, Path]) -> None:
    """Chart.yaml last: a chart that has it is whole."""
    files = {"templates/definitions.yaml": TEMPLATE}
    for folder in found.values():
        for each in _read(folder):
            files[f"definitions/{each['metadata']['name']}.yaml"] = json.dumps(each, separators=(",", ":"))
    files[CHART] = f"apiVersion: v2\nname: {NAME}\nversion: 1.0.0\n"
    for name, text in files.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(made / name, text.encode())


def _read(folder: Path) -> Iterator[dict[str, Any]]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for path in sorted(folder.glob("*.yaml")):
        for each in yaml.load_all(path.read_text(), Loader=loader):
            if isinstance(each, dict) and each.get("kind") == KIND:
                about = each["metadata"]
                metadata = {"name": about["name"], "annotations": {**about.get("annotations", {}), **KEEP}}
                labels = {"labels": about["labels"]} if "labels" in about else {}
                yield {**each, "metadata": {**metadata, **labels}, "spec": short(each["spec"])}


def short(value: Any) -> Any:
    """A schema without its descriptions. A property that is called `description` is an object and stays."""
    if isinstance(value, dict):
        return {
            key: short(item)
            for key, item in value.items()
            if not (key == "description" and isinstance(item, str))
        }
    return [short(item) for item in value] if isinstance(value, list) else value
