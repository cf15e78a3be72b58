"""Stack config -> frozen values. The only reader of config.

Every problem is found in one pass and reported with its key, so that nobody fixes a stack file one
error at a time. Defaults stand in Pulumi.yaml and nowhere else: a key that is missing here is missing
there too.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.cloud import BUCKET, KEYS, NAMESPACE, Cloud, cloud_of
from lockstep.errors import UsageError
from lockstep.release.url import parse_url
from lockstep.table import SLOTS, Table, is_digest, tenths

TARGETS = ("local", "aws")
ENVIRONMENTS = ("local", "staging", "prod")
RUNTIMES = ("onnx", "torch", "tensorrt")
TYPES: dict[str, type] = {
    "target": str,
    "environment": str,
    "regions": list,
    "models": dict,
    "audit": dict,
    "allow_destroy": bool,
    "store": str,
    "opa_url": str,
    "runtime": str,
    "port": int,
    **KEYS,
}
NAME = re.compile(r"[a-z][a-z0-9-]{0,38}[a-z0-9]")
MAX_RETENTION_DAYS = 36500
ADOPT = "LOCKSTEP_ADOPT"
"""Names the parts that a run takes over, with commas between them."""


@dataclass(frozen=True)
class Settings:
    """One stack's config, validated. `table` is the declared table (see lockstep.table); `cloud` is None on
    one machine."""

    target: str
    environment: str
    regions: tuple[str, ...]
    table: Table
    bucket: str
    retention_days: int
    allow_destroy: bool
    store: str
    opa_url: str
    runtime: str
    port: int
    cloud: Cloud | None = None

    @property
    def home(self) -> str:
        """The first region: where the audit bucket and what is global live."""
        return self.regions[0] if self.regions else ""

    @property
    def entrypoint(self) -> str:
        """Where clients send their requests."""
        if self.cloud is not None:
            return f"https://{self.cloud.entry.domain}"
        return f"http://127.0.0.1:{self.port}"

    @property
    def release_store(self) -> str:
        """URL of the release store: as declared, else the cloud's registry; empty: the checkout's own."""
        if self.store or self.cloud is None:
            return self.store
        return f"s3://{self.cloud.registry}?region={self.home}"

    @property
    def log(self) -> dict[str, Any]:
        """Where the record is, as gate, receipt and warrants are told."""
        return {
            "environment": self.environment,
            "target": self.target,
            "home": self.home,
            "bucket": self.bucket,
            "retention_days": self.retention_days,
        }


def adopting(part: str) -> bool:
    """Whether this one run takes over a part of what a destroyed stack left (see aws/outliving.py); "1" is
    all of it. Not a key of the config: it is true of a run, not of a stack, and `./lockstep` finds it out."""
    said = os.environ.get(ADOPT, "")
    return said == "1" or part in said.split(",")


def standing_in() -> bool:
    """Whether stand-ins answer in place of AWS, so that no account may be asked."""
    from lockstep.standin.project import STATE_VARIABLE

    return STATE_VARIABLE in os.environ


def defaults(project_file: Path) -> dict[str, Any]:
    """The defaults that Pulumi.yaml declares, for readers that do not run under the engine."""
    import yaml

    declared = yaml.safe_load(project_file.read_text())["config"]
    return {key: spec["default"] for key, spec in declared.items() if "default" in spec}


def load(values: Mapping[str, Any], file: str = "Pulumi.<stack>.yaml") -> Settings:
    """Settings from `lockstep:key` -> value, as the engine or a stack file has them.

    The engine hands over text, with JSON for anything but strings, and rewrites numbers and booleans
    in a stack file as text; so text that is meant to be something else is read as JSON. Defaults are
    filled in by the engine, or by a caller that reads the file itself (`defaults`).
    Raises UsageError `config.invalid` that lists every problem with its key. file: what it calls the file.
    """
    read: dict[str, Any] = {}
    problems: list[str] = []
    for key, value in values.items():
        kind = TYPES.get(key.removeprefix(NAMESPACE), str)
        read[key] = value
        if isinstance(value, str) and kind is not str:
            try:
                read[key] = json.loads(value)
            except json.JSONDecodeError:
                problems.append(f"{key}: {value!r} is not a {_type_name(kind)}")
                del read[key]
    return _settings(read, problems, file)


def _settings(values: dict[str, Any], problems: list[str], file: str) -> Settings:
    own = {key.removeprefix(NAMESPACE): value for key, value in values.items() if key.startswith(NAMESPACE)}
    for key in sorted(own.keys() - TYPES.keys()):
        problems.append(f"{NAMESPACE}{key}: unknown key{_did_you_mean(key)}")
    for key, kind in TYPES.items():
        if key not in own:
            if not any(problem.startswith(f"{NAMESPACE}{key}:") for problem in problems):
                problems.append(f"{NAMESPACE}{key}: missing")
        elif type(own[key]) is not kind:
            problems.append(f"{NAMESPACE}{key}: must be a {_type_name(kind)}, is {own.pop(key)!r}")
    for key, allowed in (("target", TARGETS), ("environment", ENVIRONMENTS), ("runtime", RUNTIMES)):
        if key in own and own[key] not in allowed:
            problems.append(f"{NAMESPACE}{key}: {own[key]!r} is not one of {', '.join(allowed)}")
    if "port" in own and not 1024 <= own["port"] <= 65000:
        problems.append(f"{NAMESPACE}port: {own['port']} is not between 1024 and 65000")
    _store(own.get("store", ""), problems)
    in_cloud = own.get("target") == "aws"
    cidrs = _regions(own.get("regions", []), problems, in_cloud=in_cloud)
    regions = list(cidrs)
    table = _table(own.get("models", {}), regions, problems)
    bucket, days = _audit(own["audit"], problems, in_cloud=in_cloud) if "audit" in own else ("", 0)
    cloud = cloud_of(own, cidrs, problems) if in_cloud and KEYS.keys() <= own.keys() else None
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise UsageError(
            f"{file} has {len(problems)} problem{'s' if len(problems) > 1 else ''}:\n{lines}",
            code="config.invalid",
            remedy=f"fix these keys in {file}; Pulumi.yaml describes each key",
        )
    return Settings(
        target=own["target"],
        environment=own["environment"],
        regions=tuple(regions),
        table=table,
        bucket=bucket,
        retention_days=days,
        allow_destroy=own["allow_destroy"],
        store=own["store"],
        opa_url=own["opa_url"],
        runtime=own["runtime"],
        port=own["port"],
        cloud=cloud,
    )


def _type_name(kind: type) -> str:
    names = {str: "string", list: "list", dict: "mapping", bool: "boolean", int: "whole number"}
    return names[kind]


def _did_you_mean(key: str) -> str:
    import difflib

    close = difflib.get_close_matches(key, TYPES, n=1)
    return f"; did you mean {NAMESPACE}{close[0]}?" if close else ""


def _only(value: object, allowed: set[str], key: str, problems: list[str]) -> dict[str, Any]:
    """The mapping, with a problem for each key that is not allowed; empty if it is no mapping."""
    if not isinstance(value, dict):
        problems.append(f"{key}: must be a mapping, is {value!r}")
        return {}
    for name in value.keys() - allowed:
        problems.append(f"{key}.{name}: unknown key; known: {', '.join(sorted(allowed))}")
    return value


def _store(url: str, problems: list[str]) -> None:
    try:
        if url:
            parse_url(url)
    except UsageError as error:
        problems.append(f"{NAMESPACE}store: {error.message}; {error.remedy}")


def _regions(value: list[Any], problems: list[str], *, in_cloud: bool) -> dict[str, Any]:
    """Region -> its declared CIDR (None on one machine, which has no networks of its own), in order."""
    key = f"{NAMESPACE}regions"
    found: dict[str, Any] = {}
    for index, entry in enumerate(value):
        known = _only(entry, {"name", "cidr"} if in_cloud else {"name"}, f"{key}[{index}]", problems)
        name = known.get("name")
        if not isinstance(name, str) or NAME.fullmatch(name) is None:
            problems.append(f"{key}[{index}].name: {name!r} is not a region name (a-z, 0-9, -)")
        elif name in found:
            problems.append(f"{key}[{index}].name: duplicate region {name!r}")
        else:
            found[name] = known.get("cidr")
    return found


def _table(value: dict[str, Any], regions: list[str], problems: list[str]) -> Table:
    key = f"{NAMESPACE}models"
    table: Table = {}
    for model, places in value.items():
        if NAME.fullmatch(str(model)) is None:
            problems.append(f"{key}.{model}: not a model name (a-z, 0-9, -)")
        if not isinstance(places, dict):
            problems.append(f"{key}.{model}: must map regions to cells, is {places!r}")
            continue
        table[str(model)] = {}
        for region, cell in places.items():
            where = f"{key}.{model}.{region}"
            if region not in regions:
                problems.append(f"{where}: {region!r} is not in {NAMESPACE}regions")
            table[str(model)][str(region)] = _cell(cell, where, problems)
    return table


def _cell(value: object, key: str, problems: list[str]) -> dict[str, Any]:
    if isinstance(value, dict) and "withdraw" in value:
        asked = _only(value, {"withdraw"}, key, problems)["withdraw"]
        if not is_digest(asked):
            problems.append(f"{key}.withdraw: {asked!r} is not a release digest (sha256:<64 hex>)")
        return {"withdraw": asked}
    cell = _only(value, {"blue", "green", "green_weight"}, key, problems)
    before = len(problems)
    result: dict[str, Any] = {}
    for slot in SLOTS:
        release = cell.get(slot)
        result[slot] = release
        if release is not None and not is_digest(release):
            problems.append(f"{key}.{slot}: {release!r} is not a release digest (sha256:<64 hex>) or null")
    if "green_weight" not in cell:
        problems.append(f"{key}.green_weight: missing")
        return result
    result["green_weight"] = weight = _weight(cell["green_weight"], f"{key}.green_weight", problems)
    if len(problems) > before:
        return result
    if result["green"] is None and weight > 0:
        problems.append(f"{key}.green_weight: {weight} gives traffic to green, which names no release")
    if result["blue"] is None and result["green"] is not None and weight < 100:
        problems.append(f"{key}.green_weight: {weight} gives traffic to blue, which names no release")
    return result


def _weight(value: object, key: str, problems: list[str]) -> float:
    """A percent from 0 to 100 with at most one decimal. A declared 0 stays 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        problems.append(f"{key}: {value!r} is not a number")
        return 0
    if not 0 <= value <= 100:
        problems.append(f"{key}: {value} is not between 0 and 100")
        return 0
    if tenths(value) != value:
        problems.append(f"{key}: {value} is finer than 0.1")
        return 0
    return tenths(value)


def _audit(value: dict[str, Any], problems: list[str], *, in_cloud: bool) -> tuple[str, int]:
    key = f"{NAMESPACE}audit"
    known = {"bucket", "retention_days"} | ({"replica"} if in_cloud else set())
    audit = _only(value, known, key, problems)
    bucket, days = audit.get("bucket"), audit.get("retention_days")
    if not isinstance(bucket, str) or BUCKET.fullmatch(bucket) is None:
        problems.append(f"{key}.bucket: {bucket!r} is not a bucket name")
        bucket = ""
    if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= MAX_RETENTION_DAYS:
        problems.append(
            f"{key}.retention_days: {days!r} is not a whole number from 1 to {MAX_RETENTION_DAYS}"
        )
        days = 0
    return bucket, days
