"""The engine's protocol on one side, kinds on the other.

Blocking work runs in threads, so that two services start side by side. An error of ours reaches the
user as its message, code and next step, without a traceback.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, TypeVar

import pulumi.provider.experimental.provider as api
from pulumi.provider.experimental.property_value import PropertyValue

from lockstep import __version__
from lockstep.errors import LockstepError, UsageError
from lockstep.paths import here
from lockstep.provider.engine import Engine
from lockstep.provider.kind import Call, Kind, Values
from lockstep.provider.session import Session
from lockstep.starved import as_error

Result = TypeVar("Result")


def plain(value: PropertyValue) -> Any:
    """A property value as JSON; whole numbers as int."""
    inner = value.value
    if isinstance(inner, bool) or inner is None or isinstance(inner, str):
        return inner
    if isinstance(inner, float):
        return int(inner) if inner.is_integer() else inner
    if isinstance(inner, dict) or hasattr(inner, "items"):
        return {str(key): plain(item) for key, item in inner.items()}
    if isinstance(inner, list | tuple):
        return [plain(item) for item in inner]
    raise UsageError(f"a {type(inner).__name__} is no input", code="provider.type", remedy="pass JSON values")


def wrapped(value: Any) -> PropertyValue:
    """JSON as a property value."""
    if isinstance(value, dict):
        return PropertyValue({key: wrapped(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return PropertyValue([wrapped(item) for item in value])
    return PropertyValue(float(value) if isinstance(value, int) and not isinstance(value, bool) else value)


def _values(properties: dict[str, PropertyValue]) -> Values:
    return {key: plain(value) for key, value in properties.items() if not key.startswith("__")}


def _properties(values: Values) -> dict[str, PropertyValue]:
    return {key: wrapped(value) for key, value in values.items()}


class LockstepProvider(api.Provider):
    def __init__(self, kinds: list[Kind], session: Session, engine: Engine | None = None) -> None:
        self._kinds = {kind.token: kind for kind in kinds}
        self._session = session
        self._engine = engine or Engine()

    def _kind(self, qualified: str) -> Kind:
        """The kind of a type as a URN has it: after the types of its parents, each with a `$`."""
        token = qualified.rpartition("$")[2]
        if token not in self._kinds:
            raise UsageError(
                f"lockstep has no resource {token}",
                code="provider.unknown_resource",
                remedy=f"use one of {', '.join(sorted(self._kinds))}",
            )
        return self._kinds[token]

    def _call(self, urn: str, *, preview: bool = False) -> Call:
        return Call(self._session, urn, preview)

    async def get_schema(self, request: api.GetSchemaRequest) -> api.GetSchemaResponse:
        from lockstep.provider.schema import schema

        return api.GetSchemaResponse(json.dumps(schema(list(self._kinds.values()))))

    async def check(self, request: api.CheckRequest) -> api.CheckResponse:
        kind = self._kind(request.type)
        self._session.checked.add(request.urn)
        inputs = _values(request.new_inputs)
        problems = _shape_problems(kind, inputs)
        if not problems:
            problems = await _in_thread(lambda: kind.check(self._call(request.urn), inputs))
        # The property name stays empty: the engine would print the property's whole value after it.
        return api.CheckResponse(request.new_inputs, [api.CheckFailure("", problem) for problem in problems])

    async def diff(self, request: api.DiffRequest) -> api.DiffResponse:
        kind = self._kind(request.type)
        change = await _in_thread(
            lambda: kind.changed(
                self._call(request.urn), _values(request.old_state), _values(request.new_inputs)
            )
        )
        return api.DiffResponse(
            changes=change.changed, replaces=change.replaces, delete_before_replace=bool(change.replaces)
        )

    async def create(self, request: api.CreateRequest) -> api.CreateResponse:
        kind = self._kind(request.type)
        call = self._call(request.urn, preview=request.preview)
        identity, outputs = await _in_thread(lambda: kind.create(call, _values(request.properties)))
        return api.CreateResponse("" if request.preview else identity, _properties(outputs))

    async def update(self, request: api.UpdateRequest) -> api.UpdateResponse:
        kind = self._kind(request.type)
        call = self._call(request.urn, preview=request.preview)
        outputs = await _in_thread(
            lambda: kind.update(call, request.resource_id, _values(request.olds), _values(request.news))
        )
        return api.UpdateResponse(_properties(outputs))

    async def delete(self, request: api.DeleteRequest) -> None:
        kind = self._kind(request.type)
        outputs = _values(request.properties)
        await _in_thread(lambda: kind.delete(self._call(request.urn), request.resource_id, outputs))

    async def read(self, request: api.ReadRequest) -> api.ReadResponse:
        kind = self._kind(request.type)
        outputs = _values(request.properties)
        found = await _in_thread(lambda: kind.read(self._call(request.urn), request.resource_id, outputs))
        if found is None:
            return api.ReadResponse("", {}, {})
        if drift := found.get("drift"):  # a refresh shows what it found in inputs, and of outputs nothing
            await _in_thread(lambda: self._engine.warn(request.urn, f"drift: {drift}"))
        inputs = {key: found[key] for key in kind.inputs if key in found}
        return api.ReadResponse(request.resource_id, _properties(found), _properties(inputs))


def _shape_problems(kind: Kind, inputs: Values) -> list[str]:
    unknown = [f"{kind.token} has no input {key!r}" for key in sorted(inputs.keys() - kind.inputs.keys())]
    missing = [f"{kind.token} needs the input {key!r}" for key in sorted(kind.inputs.keys() - inputs.keys())]
    return unknown + missing


class _PlainName(type):
    """grpc prints `Unexpected <the exception's class>: ...`; this class prints as a word."""

    def __repr__(cls) -> str:
        return "failure"


class _Failure(Exception, metaclass=_PlainName):
    """What the engine shows of an error of ours: message, code and next step."""


async def _in_thread(work: Callable[[], Result]) -> Result:
    try:
        return await asyncio.to_thread(work)
    except LockstepError as error:
        raise _Failure(str(error)) from None
    except OSError as raw:
        starving = as_error(raw)
        if starving is None:
            raise
        raise _Failure(str(starving)) from None


def serve(arguments: list[str]) -> None:
    """Serve the plugin until the engine ends it."""
    from pulumi.provider.experimental.server import main

    from lockstep.provider.kinds import KINDS

    engine = Engine.from_arguments(arguments)
    main(arguments, __version__, LockstepProvider(KINDS, Session(here()), engine))
