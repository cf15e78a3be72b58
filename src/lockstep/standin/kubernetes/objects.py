"""Objects as the provider handles them: names, identities, what differs, what a difference replaces.

Everything here is a value; nothing asks a server.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from lockstep.standin.kubernetes.api import Object
from lockstep.standin.provider import Call
from lockstep.standin.wire import UNKNOWN, Values, holds_unknown

AUTONAMED = "pulumi.com/autonamed"
OWN = ("__initialApiVersion", "__fieldManager")
"""What the provider adds to the outputs for itself. The real one adds the inputs, too; the engine has them,
and would not know that what is secret in them is secret here."""
_SELECTED = {"spec.selector"}
REPLACED_BY = {
    "apps/v1/DaemonSet": _SELECTED,
    "apps/v1/Deployment": _SELECTED,
    "apps/v1/StatefulSet": _SELECTED
    | {"spec.podManagementPolicy", "spec.serviceName", "spec.volumeClaimTemplates"}
    | {"spec.revisionHistoryLimit"},
    "batch/v1/Job": _SELECTED | {"spec.completions", "spec.parallelism", "spec.template"},
    "rbac.authorization.k8s.io/v1/ClusterRoleBinding": {"roleRef"},
    "rbac.authorization.k8s.io/v1/RoleBinding": {"roleRef"},
    "storage.k8s.io/v1/StorageClass": {"parameters", "provisioner"},
    "v1/ConfigMap": {"binaryData", "data"},
    "v1/PersistentVolumeClaim": {"spec"},
    "v1/Pod": {"spec"},
    "v1/ResourceQuota": {"spec.scopes"},
    "v1/Secret": {"data", "stringData", "type"},
    "v1/Service": {"spec.clusterIP"},
}
"""Kind -> what cannot change in place. Source: pulumi-kubernetes, provider/pkg/provider/diff.go; its list for
Pod names nearly every property, here all of them."""
BUILT_IN = {"apiextensions.k8s.io", "apps", "autoscaling", "batch", "networking.k8s.io", "policy"} | {
    *("rbac.authorization.k8s.io", "scheduling.k8s.io", "storage.k8s.io", "admissionregistration.k8s.io")
}
IDENTITY = ("metadata.name", "metadata.namespace", "apiVersion", "kind")


def version_and_kind(token: str) -> tuple[str, str]:
    """`kubernetes:apps/v1:Deployment` -> ("apps/v1", "Deployment"); the core group has no name."""
    _, version, kind = token.split(":")
    return version.removeprefix("core/"), kind


def is_built_in(token: str) -> bool:
    """Whether the provider knows the kind by itself; about a custom one it asks the cluster, in Diff too."""
    version, _ = version_and_kind(token)
    return version.partition("/")[0] in BUILT_IN or "/" not in version


def without_none(value: Any) -> Any:
    """A value without keys that hold nothing: the SDK sends them, an API server takes null as a wish."""
    if isinstance(value, Mapping):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    return [without_none(item) for item in value] if isinstance(value, list) else value


def named(call: Call, old: Values, new: Values) -> Values:
    """The inputs with a name: given, kept from before, or made from the resource's own.

    A made name holds a digest of the inputs, as the provider's holds something random: a replacement is
    called otherwise than what it replaces.
    """
    about = new.get("metadata")
    about = {} if about is None else about
    if about is UNKNOWN or "name" in about or "generateName" in about:
        return new
    kept = (old.get("metadata") or {}).get("annotations") or {}
    if AUTONAMED in kept:
        name = old["metadata"]["name"]
    else:
        basis = json.dumps([call.urn, new], sort_keys=True, default=repr)
        name = f"{call.name}-{hashlib.sha256(basis.encode()).hexdigest()[:8]}"
    annotations = about.get("annotations") or {}
    if annotations is not UNKNOWN:
        annotations = {**annotations, AUTONAMED: "true"}
    return {**new, "metadata": {**about, "name": name, "annotations": annotations}}


def identity_of(thing: Mapping[str, Any]) -> str:
    """`namespace/name`, or the name alone outside namespaces."""
    about = thing["metadata"]
    return f"{about['namespace']}/{about['name']}" if about.get("namespace") else str(about["name"])


def split_identity(identity: str) -> tuple[str, str]:
    namespace, _, name = identity.rpartition("/")
    return namespace, name


def field_manager(urn: str) -> str:
    """Who owns the fields that this resource applies: each resource its own, as the provider has it."""
    return f"pulumi-kubernetes-{hashlib.sha256(urn.encode()).hexdigest()[:8]}"


def outputs_of(live: Object, inputs: Values, manager: str) -> Values:
    """What the engine remembers: the live object, and what the provider adds."""
    about = {key: value for key, value in live["metadata"].items() if key != "managedFields"}
    own = (inputs.get("apiVersion", ""), manager)
    return {**live, "metadata": about, **dict(zip(OWN, own, strict=True))}


def live_of(outputs: Values) -> Object:
    return {key: value for key, value in outputs.items() if key not in OWN}


def pruned(live: Any, inputs: Any) -> Any:
    """Of what is there, only what was asked for: a server fills in much that nobody declared."""
    if isinstance(live, Mapping) and isinstance(inputs, Mapping):
        return {key: pruned(live[key], item) for key, item in inputs.items() if key in live}
    if isinstance(live, list) and isinstance(inputs, list) and len(live) == len(inputs):
        return [pruned(each, item) for each, item in zip(live, inputs, strict=True)]
    return live


def differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Paths at which two values differ, as the engine writes them. An unknown differs from everything."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            if key not in before or key not in after:
                yield joined(path, key)
            else:
                yield from differences(before[key], after[key], joined(path, key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
    elif before != after or holds_unknown(after):
        yield path


def joined(path: str, key: str) -> str:
    if not re.fullmatch(r"[A-Za-z_$][\w$-]*", key):
        return f"{path}[{json.dumps(key)}]"
    return f"{path}.{key}" if path else key


def at(value: Any, path: str) -> Any:
    """What stands at a path of `differences`; None where nothing does."""
    for name, quoted, index in re.findall(r'([A-Za-z_$][\w$-]*)|\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]', path):
        key = int(index) if index else name or json.loads(f'"{quoted}"')
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def replaces(thing: Mapping[str, Any], path: str) -> bool:
    """Whether a change there needs a new object."""
    fixed = REPLACED_BY.get(f"{thing.get('apiVersion')}/{thing.get('kind')}", set())
    return path == "metadata" or any(
        path == each or path.startswith((f"{each}.", f"{each}[")) for each in (*IDENTITY, *fixed)
    )
