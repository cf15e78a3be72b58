"""What would become of a workload's pods.

A Deployment is accepted whatever its template says; its pods are refused later, by admission, when a
controller makes them, and nobody sees it but an event. So the pod that a controller would make is tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lockstep.standin.kubernetes.api import Object

TEMPLATES = {
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Deployment": ("spec", "template"),
    "Job": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "ScaledJob": ("spec", "jobTargetRef", "template"),
    "StatefulSet": ("spec", "template"),
}


def pod_of(thing: Mapping[str, Any]) -> Object | None:
    """The pod that a controller would make of a workload; None for anything else."""
    template: Any = thing
    for key in TEMPLATES.get(thing.get("kind", ""), ("",)):
        template = template.get(key) if isinstance(template, Mapping) else None
    if not isinstance(template, Mapping) or "spec" not in template:
        return None
    about = thing["metadata"]
    given = template.get("metadata") or {}
    kept = {key: given[key] for key in ("labels", "annotations") if key in given}
    name = {"name": f"{about['name']}-0", "namespace": about.get("namespace") or "default"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {**kept, **name}, "spec": template["spec"]}
