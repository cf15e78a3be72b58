"""The type information of the real SDK, pulumi_aws, as shapes.

A token leads to its class through the SDK's own registration, which is read as text. In a process of its
own the stand-in imports each resource alone, under bare parent packages, because a package imports all of
its hundreds of modules (1.2 s of a processor instead of 2.8 for ten packages); one that cannot be had alone
gets its package whole.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import re
import sys
import types
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import Any

from lockstep.errors import UsageError
from lockstep.standin.aws.hints import given, hints_of, needed, shape_of, taken
from lockstep.standin.aws.shape import Field, Record

PACKAGE = "pulumi_aws"


@dataclass(frozen=True)
class Signature:
    """What a resource or function takes and gives. A field of `outputs` is required where the provider
    always sets it."""

    inputs: Record
    outputs: Record


class Sdk:
    """The installed SDK. Safe to share between threads.

    alone: nobody else in this process imports the SDK, so bare packages are in nobody's way.
    """

    def __init__(self, *, alone: bool = False) -> None:
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or spec.origin is None:
            raise UsageError(
                f"the Python package {PACKAGE} is not installed",
                code="standin.no_sdk",
                remedy="run `./lockstep doctor`, which says what is missing",
            )
        self._folder = Path(spec.origin).parent
        self._lock = RLock()
        self._signatures: dict[str, Signature] = {}
        self._alone = alone
        if alone:
            _bare(PACKAGE, self._folder)

    @cached_property
    def registered(self) -> Mapping[str, tuple[str, str]]:
        """Token -> (package, class), as the SDK registers them."""
        text = (self._folder / "__init__.py").read_text()
        found = re.search(r'resource_modules="""(.*?)"""', text, re.DOTALL)
        modules = json.loads(found.group(1)) if found else []
        return {
            token: (module["fqn"], name) for module in modules for token, name in module["classes"].items()
        }

    def resource(self, token: str) -> Signature:
        """A resource's signature. Raises UsageError `standin.no_type` for a token that the SDK has not."""
        with self._lock:
            if token not in self._signatures:
                if token not in self.registered:
                    raise _no_type(token, self.registered)
                package, name = self.registered[token]
                module = self._module(package, token)
                self._signatures[token] = Signature(_arguments(module, name), _attributes(module, name))
            return self._signatures[token]

    def provider(self) -> Record:
        """What the provider's own settings may be."""
        with self._lock:
            return _arguments(importlib.import_module(f"{PACKAGE}.provider"), "Provider")

    def function(self, token: str) -> Signature:
        """A function's signature. Raises as `resource`."""
        with self._lock:
            if token not in self._signatures:
                package = token.split(":")[1].split("/")[0]
                parent = PACKAGE if package == "index" else f"{PACKAGE}.{package}"
                module = self._module(parent, token)
                name = token.rsplit(":", 1)[-1]
                function = getattr(module, _snake(name), None)
                if function is None:
                    raise _no_type(token, ())
                result = f"{name[0].upper()}{name[1:]}Result"
                self._signatures[token] = Signature(_parameters(module, name), _attributes(module, result))
            return self._signatures[token]

    def _module(self, package: str, token: str) -> types.ModuleType:
        """The one module that defines the token's class."""
        name = _snake(token.split(":")[1].rsplit("/", 1)[-1])
        if self._alone and package != PACKAGE:
            _bare(package, self._folder / package.rsplit(".", 1)[-1])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of the package's old resources
            if not self._alone:
                # The SDK's packages are lazy: one whose module is imported before it is looked at stays empty
                # for everybody else in the process.
                hasattr(importlib.import_module(package), "looked_at")
            try:
                return importlib.import_module(f"{package}.{name}")
            except ImportError:
                if self._alone:
                    sys.modules.pop(package, None)
            try:
                return importlib.import_module(package)
            except ImportError:
                raise _no_type(token, ()) from None


def _no_type(token: str, known: Any) -> UsageError:
    from difflib import get_close_matches

    close = get_close_matches(token, list(known), n=1)
    return UsageError(
        f"the SDK has no type {token}" + (f"; did you mean {close[0]}?" if close else ""),
        code="standin.no_type",
        remedy=f"use a resource or function of the installed {PACKAGE}",
    )


def _bare(name: str, folder: Path) -> None:
    """A package without what its `__init__` does."""
    if name not in sys.modules:
        module = types.ModuleType(name)
        module.__path__ = [str(folder)]
        sys.modules[name] = module


def _snake(name: str) -> str:
    """The SDK's spelling in Python: `getVpcIpamPool` -> `get_vpc_ipam_pool`."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])|(?<=[A-Z])([A-Z])(?=[a-z])", r"_\1\2", name).lower()


def _camel(name: str) -> str:
    first, *rest = name.rstrip("_").split("_")
    return first + "".join(word.capitalize() for word in rest)


def _arguments(module: types.ModuleType, name: str) -> Record:
    """What a resource's constructor takes: `<Name>Args`, or `<Name>InitArgs` where that name is taken."""
    for ending in ("InitArgs", "Args"):
        found = vars(module).get(name + ending)
        if found is not None:
            return taken(found, name)
    raise _no_type(name, ())


def _parameters(module: types.ModuleType, name: str) -> Record:
    """What a function takes."""
    function = getattr(module, _snake(name))

    def read() -> dict[str, Field]:
        hints = hints_of(function, module.__name__)
        return {
            _camel(parameter): Field(shape_of(hints[parameter]), needed(hints[parameter], given.default))
            for parameter, given in inspect.signature(function).parameters.items()
            if parameter != "opts"
        }

    return Record(name, read)


def _attributes(module: types.ModuleType, name: str) -> Record:
    return given(getattr(module, name))
