"""The definitions of custom resources, put into a cluster and waited for."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from lockstep.errors import Unavailable
from lockstep.standin.kubernetes.api import Api, Object, Refused, UnknownKind

OURS = Path(__file__).with_name("definitions")
"""Definitions that no module publishes, written from documentation; each file says from which."""
MANAGER = "lockstep-standin"
ESTABLISHED_S = 30.0


def install(api: Api, folders: Sequence[Path]) -> None:
    """Create every manifest of the folders, and wait until their kinds are served; what is there already
    stays. Created, not applied: that costs the server two seconds less for all of them."""
    things = [thing for folder in folders for thing in manifests(folder)]
    for thing in things:
        kind = api.kind(thing["apiVersion"], thing["kind"])
        try:
            api.request("POST", kind.path(""), {"fieldManager": MANAGER}, thing)
        except Refused as refusal:
            if refusal.reason != "AlreadyExists":
                raise
    for thing in things:
        if is_definition(thing):
            wait(api, thing)


def manifests(folder: Path) -> Iterator[Object]:
    """Every object in the folder's YAML files, in the order of their names."""
    for path in sorted(folder.glob("*.yaml")):
        for document in yaml.load_all(path.read_text(), _loader()):
            if document:
                yield document


def is_definition(thing: Object) -> bool:
    return bool(thing.get("kind") == "CustomResourceDefinition")


def wait(api: Api, definition: Object) -> None:
    """Until each served version of the kind can be asked for. Raises Unavailable `kubernetes.not_served`."""
    spec = definition["spec"]
    served = [f"{spec['group']}/{version['name']}" for version in spec["versions"] if version.get("served")]
    deadline = time.monotonic() + ESTABLISHED_S
    for version in served:
        while True:
            try:
                api.kind(version, spec["names"]["kind"])
                break
            except UnknownKind as error:
                if time.monotonic() > deadline:
                    raise Unavailable(
                        f"the API server does not serve {spec['names']['kind']} of {version}",
                        code="kubernetes.not_served",
                        remedy="look into the definition's conditions",
                    ) from error
                time.sleep(0.05)


def _loader() -> Any:
    """libyaml's where it is: these files are long."""
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)
