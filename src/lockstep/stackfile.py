"""A stack's file, Pulumi.<stack>.yaml: read as settings, rewritten with another table.

Comments and order survive a rewrite. Every write is beside-and-rename, so that a kill leaves the old
file or the new one.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.cloud import NAMESPACE
from infra.config import Settings, defaults, load
from lockstep.errors import UsageError
from lockstep.files import write_atomic
from lockstep.table import Table, cells, is_withdrawn


@dataclass(frozen=True)
class StackFile:
    path: Path
    project_file: Path

    def read_bytes(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            raise self._missing() from None

    def _missing(self) -> UsageError:
        others = sorted(path.name.split(".")[1] for path in self.path.parent.glob("Pulumi.*.yaml"))
        remedy = f"name a stack that has one: {', '.join(others)}" if others else "see the README"
        if self.path.name == "Pulumi.local.yaml":
            remedy = "run `./lockstep up`, which writes Pulumi.local.yaml from its example"
        return UsageError(f"there is no {self.path.name}", code="config.no_stack_file", remedy=remedy)

    def settings(self, data: bytes | None = None) -> Settings:
        """The file's settings, or those of `data` in its place. Raises UsageError `config.*`."""
        return load({**defaults(self.project_file), **self.values(data)}, self.path.name)

    def store(self) -> str:
        """The one key `store`, also of a file whose table is not good: mending it takes `release list`."""
        return str(self.values().get(f"{NAMESPACE}store") or "")

    def target(self) -> str:
        """The one key `target`, also of a file that is not good otherwise; empty where it names none."""
        return str(self.values().get(f"{NAMESPACE}target") or "")

    def values(self, data: bytes | None = None) -> dict[str, Any]:
        import yaml

        text = self.read_bytes() if data is None else data
        try:
            document = yaml.safe_load(text)
            own: Mapping[str, Any] = document["config"]
            return {str(key): value for key, value in own.items()}
        except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"{self.path.name} is not a stack file with a `config:` section: {error}",
                code="config.malformed",
                remedy="compare it with Pulumi.local.yaml.example",
            ) from None

    def with_table(self, table: Table) -> bytes:
        """The file's bytes with `table` declared, everything else as it is. Writes nothing."""
        from ruamel.yaml import YAML
        from ruamel.yaml.comments import CommentedMap

        yaml = YAML()
        yaml.preserve_quotes = True
        yaml.width = 200
        yaml.indent(mapping=2, sequence=4, offset=2)
        yaml.representer.add_representer(
            type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", "null")
        )
        document = yaml.load(self.read_bytes())
        models = CommentedMap()
        for model, region, cell in cells(table):
            shown = CommentedMap(
                {"withdraw": cell["withdraw"]}
                if is_withdrawn(cell)
                else {key: cell[key] for key in ("blue", "green", "green_weight")}
            )
            shown.fa.set_flow_style()
            models.setdefault(model, CommentedMap())[region] = shown
        document["config"][f"{NAMESPACE}models"] = models
        out = io.BytesIO()
        yaml.dump(document, out)
        return out.getvalue()

    def write(self, data: bytes) -> None:
        write_atomic(self.path, data)
