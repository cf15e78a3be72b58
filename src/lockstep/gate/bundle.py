"""The policies of a checkout as one signed OPA bundle.

What is judged by is read once: the revision is the digest of exactly the bytes that go into the bundle.
Rego files keep their paths; everything else becomes `data.settings`:

    environments        policies/data/rules.json, only the environments that this bundle may judge
    roles               policies/data/roles.json, the same ones
    expected            policies/data/expected.json, the codes of all rules
    input_schema        policies/schema/input.json
    environment_schema  policies/schema/environment.json
    roles_schema        policies/schema/roles.json
    revision            so that each answer says which bundle gave it

What judges no promotion (policies/capacity/) is tested with the rest and is in no bundle: the revision does
not follow it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep import canonical
from lockstep.errors import IntegrityError, Unavailable

RULES = "data/rules.json"
ROLES = "data/roles.json"
EXPECTED = "data/expected.json"
INPUT_SCHEMA = "schema/input.json"
ENVIRONMENT_SCHEMA = "schema/environment.json"
ROLES_SCHEMA = "schema/roles.json"
CAPACITY = "capacity/capacity.rego"
CAPACITY_SCHEMA = "schema/capacity.json"


@dataclass(frozen=True)
class Policies:
    """The policy files as they were read: path below policies/ -> bytes. tests: the `_test.rego` files."""

    files: Mapping[str, bytes]
    tests: Mapping[str, bytes]

    @classmethod
    def read(cls, policies_dir: Path) -> Policies:
        """Raises Unavailable `gate.policies_missing` where files are missing."""
        try:
            rego = {
                str(path.relative_to(policies_dir)): path.read_bytes()
                for path in policies_dir.rglob("*.rego")
            }
            data = {
                name: (policies_dir / name).read_bytes()
                for name in (
                    *(RULES, ROLES, EXPECTED),
                    *(INPUT_SCHEMA, ENVIRONMENT_SCHEMA, ROLES_SCHEMA, CAPACITY_SCHEMA),
                )
            }
        except OSError as error:
            raise Unavailable(
                f"the policies cannot be read: {error.strerror} ({error.filename})",
                code="gate.policies_missing",
                remedy="restore the folder policies/ from git",
            ) from None
        tests = {name: text for name, text in rego.items() if name.endswith("_test.rego")}
        return cls({name: text for name, text in {**rego, **data}.items() if name not in tests}, tests)

    @property
    def judging(self) -> dict[str, bytes]:
        """The files by which the gate judges."""
        return {name: text for name, text in self.files.items() if name not in (CAPACITY, CAPACITY_SCHEMA)}

    @property
    def revision(self) -> str:
        """`checkout:<16 hex>`: equal files, equal revision, whatever the environment."""
        named = {name: canonical.digest(text) for name, text in self.judging.items()}
        return "checkout:" + canonical.digest_of(named).removeprefix("sha256:")[:16]

    def json(self, name: str) -> Any:
        try:
            return canonical.parse(self.files[name])
        except IntegrityError as error:
            raise _malformed(name, error.message) from None

    def settings(self, environment: str | None) -> dict[str, Any]:
        """`data.settings` of a bundle for one environment (an unknown one judges nothing), or for all."""

        return {
            "environments": self._judged(RULES, environment),
            "roles": self._judged(ROLES, environment),
            "expected": self.json(EXPECTED),
            "input_schema": self.json(INPUT_SCHEMA),
            "environment_schema": self.json(ENVIRONMENT_SCHEMA),
            "roles_schema": self.json(ROLES_SCHEMA),
            "revision": self.revision,
        }

    def _judged(self, name: str, environment: str | None) -> dict[str, Any]:
        parts = self.json(name)
        if not isinstance(parts, dict):
            raise _malformed(name, "it has no part for each environment")
        return {each: value for each, value in parts.items() if environment in (None, each)}

    def stage(self, folder: Path, *, environment: str | None = None, tests: bool = False) -> None:
        """Write the bundle's files below `folder`, which must be empty. tests: all rules with their tests."""
        settings = self.settings(environment)
        files = dict(self.judging)
        if tests:
            files = {**self.files, **self.tests}
            settings["capacity_schema"] = self.json(CAPACITY_SCHEMA)
        for name in files:
            if name.endswith(".rego"):
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(files[name])
        (folder / "data.json").write_text(json.dumps({"settings": settings}))


def _malformed(name: str, what: str) -> IntegrityError:
    return IntegrityError(f"policies/{name}: {what}", code="gate.policies_malformed", remedy="mend that file")
