"""The types of the SDK, pulumi_kubernetes: what there is to hold an object against without an API server."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from threading import Lock

from lockstep.errors import UsageError
from lockstep.standin.aws.hints import taken
from lockstep.standin.aws.shape import ANYTHING, STRING, Field, Record, Simple, problems
from lockstep.standin.provider import Failure
from lockstep.standin.wire import Values

PACKAGE = "pulumi_kubernetes"
META = f"{PACKAGE}.meta.v1"
DEFINITION = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"
"""Of these only the frame is looked at: the SDK has no type for keys that are written with a dash."""
_ONE_AT_A_TIME = Lock()
"""The SDK's packages import each other in a circle: a second thread would meet one that is half there."""


class Types:
    """The installed SDK. Imported when first asked: an API server knows better, and needs none of it."""

    @cached_property
    def _registered(self) -> Mapping[str, tuple[str, str]]:
        """Token -> (module, class), as the SDK registers them; read as text, so that nothing is imported."""
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or spec.origin is None:
            raise UsageError(
                f"the Python package {PACKAGE} is not installed",
                code="standin.no_sdk",
                remedy="run `./lockstep doctor`, which says what is missing",
            )
        found = re.search(r'resource_modules="""(.*?)"""', Path(spec.origin).read_text(), re.DOTALL)
        modules = json.loads(found.group(1)) if found else []
        return {
            token: (module["fqn"], name) for module in modules for token, name in module["classes"].items()
        }

    def failures(self, token: str, inputs: Values) -> list[Failure]:
        """Unknown, missing and wrongly typed properties. Of a custom resource only the frame is known."""
        return list(problems(self._shape(token), inputs))

    def _shape(self, token: str) -> Record:
        with _ONE_AT_A_TIME:
            if token == DEFINITION or token not in self._registered:
                return _custom_resource()
            module, name = self._registered[token]
            return _arguments(module, name)


def _arguments(module: str, name: str) -> Record:
    """What a constructor takes: `<Name>Args`, or `<Name>InitArgs` where that is taken."""
    classes = vars(importlib.import_module(module))
    return taken(classes.get(f"{name}InitArgs") or classes[f"{name}Args"], name)


def _custom_resource() -> Record:
    """Anything beside the frame is allowed at the top: many kinds have more than a spec."""
    frame = {
        "apiVersion": Field(Simple(STRING), True),
        "kind": Field(Simple(STRING), True),
        "metadata": Field(_arguments(META, "ObjectMeta"), False),
    }
    return Record("CustomResource", lambda: _Open(frame))


class _Open(dict[str, Field]):
    """Fields of which any other may be given, too."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> Field:
        return Field(Simple(ANYTHING), False)
