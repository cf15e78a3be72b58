"""Helm releases: typed and recorded. Nothing is rendered, so nothing of a chart reaches the API server."""

from __future__ import annotations

from lockstep.standin.wire import UNKNOWN, Values

TOKEN = "kubernetes:helm.sh/v3:Release"


def name_of(inputs: Values, urn_name: str) -> str:
    return str(inputs.get("name") or urn_name)


def outputs_of(inputs: Values, urn_name: str, *, preview: bool) -> Values:
    """What the provider says of a release; its objects are known when it is there."""
    name, namespace = name_of(inputs, urn_name), inputs.get("namespace") or "default"
    chart = str(inputs.get("chart", "")).rstrip("/").rsplit("/", 1)[-1]
    status = {
        "name": name,
        "namespace": namespace,
        "chart": chart,
        "version": inputs.get("version", ""),
        "revision": 1,
        "status": "deployed",
    }
    return {
        **inputs,
        "name": name,
        "namespace": namespace,
        "status": UNKNOWN if preview else status,
        "resourceNames": UNKNOWN if preview else inputs.get("resourceNames") or {},
    }
