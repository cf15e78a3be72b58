"""Helm releases: typed and recorded. Nothing is rendered; of a chart only the definitions of custom resources
that it brings reach the API server, because what comes after it depends on them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lockstep.paths import here
from lockstep.standin.wire import UNKNOWN, Values

TOKEN = "kubernetes:helm.sh/v3:Release"


def brings(inputs: Values) -> list[str]:
    """The folders of definitions that this release puts into the cluster."""
    charts = tomllib.loads(Path(__file__).with_name("charts.toml").read_text())
    chart: Mapping[str, Any] = charts.get(chart_of(inputs), {"skipped": False, "definitions": []})
    if chart["skipped"] and inputs.get("skipCrds"):
        return []
    return [each["folder"] for each in chart["definitions"] if _is_on(inputs.get("values"), each)]


def own(inputs: Values) -> list[Path]:
    """The definitions in a chart of the checkout itself, whose path starts at the program's folder."""
    chart = str(inputs.get("chart", ""))
    return [(here().root / "infra" / chart / "definitions").resolve()] if chart.startswith("../") else []


def _is_on(values: Any, entry: Mapping[str, Any]) -> bool:
    for key in entry["value"].split("."):
        if not isinstance(values, Mapping) or key not in values:
            return bool(entry["default"])
        values = values[key]
    return values is True


def chart_of(inputs: Values) -> str:
    """`oci://host/path/gateway-helm` -> `gateway-helm`."""
    return str(inputs.get("chart", "")).rstrip("/").rsplit("/", 1)[-1]


def name_of(inputs: Values, urn_name: str) -> str:
    return str(inputs.get("name") or urn_name)


def outputs_of(inputs: Values, urn_name: str, *, preview: bool) -> Values:
    """What the provider says of a release; its objects are known when it is there."""
    name, namespace = name_of(inputs, urn_name), inputs.get("namespace") or "default"
    status = {
        "name": name,
        "namespace": namespace,
        "chart": chart_of(inputs),
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
