"""What a provider resource says: which cluster, and how objects are sent to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lockstep.standin.provider import Failure
from lockstep.standin.wire import Values, holds_unknown

FLAGS = (
    "alwaysRender",
    "deleteUnreachable",
    "enableConfigMapMutable",
    "enablePatchForce",
    "enableSecretMutable",
    "enableServerSideApply",
    "skipUpdateUnreachable",
    "suppressDeprecationWarnings",
    "suppressHelmHookWarnings",
    "upsertExistingObjects",
)
TEXTS = ("cluster", "clusterIdentifier", "context", "kubeconfig", "namespace", "renderYamlToDirectory")
GROUPS = ("helmReleaseSettings", "kubeClientSettings")
NOT_APPLIED = "enableServerSideApply is false: what is sent in another way is not judged here"
FROM_ENGINE = ("version", "pluginDownloadURL")
UNKNOWN_KEYS = "__unknown"
"""Our word to ourselves, from the check of the settings to their use: which of them nobody knows yet."""


@dataclass(frozen=True)
class Settings:
    """unknown: what the preview does not know; cluster: what is said of it, by key."""

    unknown: tuple[str, ...] = ()
    cluster: Mapping[str, str] = field(default_factory=dict)
    namespace: str = "default"
    upsert: bool = False
    force: bool = False
    skip: bool = False
    """Leave the objects of a cluster that does not answer as they are, with a warning."""
    mutable: frozenset[str] = frozenset()


def problems(config: Values) -> list[Failure]:
    """What the real provider would refuse, and client-side apply, which nothing here would judge."""
    failures = [
        Failure(key, f"the provider has no setting {key}")
        for key in config
        if key not in (*FLAGS, *TEXTS, *GROUPS, *FROM_ENGINE, UNKNOWN_KEYS)
    ]
    for key, value in config.items():
        if holds_unknown(value) or value is None:
            continue
        if key in FLAGS and _flag(value) is None:
            failures.append(Failure(key, f"{key} must be true or false, and is {value!r}"))
        if key in TEXTS and not isinstance(value, str):
            failures.append(Failure(key, f"{key} must be a string, and is {value!r}"))
    if _flag(config.get("enableServerSideApply")) is False:
        failures.append(Failure("enableServerSideApply", NOT_APPLIED))
    if isinstance(config.get("kubeconfig"), str):
        failures += _kubeconfig_problems(config["kubeconfig"])
    return failures


def with_unknown_named(config: Values) -> Values:
    """The settings without those that are not known, which are named instead.

    With an unknown setting the engine would not ask the provider about any of its objects, and accept them
    all without a word.
    """
    unknown = sorted(key for key, value in config.items() if holds_unknown(value))
    known = {key: value for key, value in config.items() if key not in unknown}
    return {**known, UNKNOWN_KEYS: ",".join(unknown)} if unknown else config


def read(config: Values) -> Settings:
    said = {key: config[key] for key in ("clusterIdentifier", "context", "kubeconfig") if config.get(key)}
    mutable = {"ConfigMap": "enableConfigMapMutable", "Secret": "enableSecretMutable"}
    return Settings(
        unknown=tuple(filter(None, config.get(UNKNOWN_KEYS, "").split(","))),
        cluster=said,
        namespace=config.get("namespace") or "default",
        upsert=_flag(config.get("upsertExistingObjects")) is True,
        force=_flag(config.get("enablePatchForce")) is True,
        skip=_flag(config.get("skipUpdateUnreachable")) is True,
        mutable=frozenset(kind for kind, key in mutable.items() if _flag(config.get(key)) is True),
    )


def _flag(value: Any) -> bool | None:
    """The SDK sends settings that are not text as JSON."""
    return {"true": True, "false": False, True: True, False: False}.get(value)


def _kubeconfig_problems(text: str) -> list[Failure]:
    """A kubeconfig is a document with clusters, contexts and users, or the path of one."""
    import yaml

    if "\n" not in text and not text.lstrip().startswith("{"):
        return []
    try:
        document = json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        return [Failure("kubeconfig", f"kubeconfig is no YAML or JSON: {str(error).splitlines()[0]}")]
    if not isinstance(document, dict):
        return [Failure("kubeconfig", "kubeconfig is no document with clusters, contexts and users")]
    missing = [key for key in ("clusters", "contexts", "users") if not document.get(key)]
    return [Failure("kubeconfig", f"kubeconfig names no {', no '.join(missing)}")] if missing else []
