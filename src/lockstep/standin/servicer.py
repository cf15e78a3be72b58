"""The provider protocol over gRPC on one side, a `StandIn` on the other.

Written on the protocol's own messages, because the SDK's `pulumi.provider.experimental` cannot send a
value that is not known yet. Protocol: pulumi/provider.proto, service `pulumirpc.ResourceProvider`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import wraps
from threading import Lock
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import plugin_pb2, provider_pb2_grpc
from pulumi.runtime.proto import provider_pb2 as messages

from lockstep.errors import LockstepError
from lockstep.standin.provider import Call, Change, Failure, StandIn, State
from lockstep.standin.wire import struct, values


def _answering(method: Callable[..., Any]) -> Callable[..., Any]:
    """An error of ours reaches the user as its message, code and next step, without a traceback."""

    @wraps(method)
    def answer(self: Servicer, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(self, request)
        except LockstepError as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))

    return answer


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """make: called once, for the first request, so that the port is printed before anything is imported."""

    def __init__(self, make: Callable[[], StandIn]) -> None:
        self._make = make
        self._made: StandIn | None = None
        self._making = Lock()

    @property
    def provider(self) -> StandIn:
        with self._making:
            if self._made is None:
                self._made = self._make()
            return self._made

    @_answering
    def Handshake(self, request: Any) -> Any:
        return messages.ProviderHandshakeResponse()

    @_answering
    def GetPluginInfo(self, request: Any) -> Any:
        return plugin_pb2.PluginInfo(version=self.provider.version)

    @_answering
    def GetSchema(self, request: Any) -> Any:
        """Name and version: programs here are typed by their SDK, which the provider checks against."""
        provider = self.provider
        return messages.GetSchemaResponse(
            schema=json.dumps({"name": provider.name, "version": provider.version, "resources": {}})
        )

    @_answering
    def CheckConfig(self, request: Any) -> Any:
        checked = self.provider.check_config(values(request.news))
        if isinstance(checked, list):
            return messages.CheckResponse(inputs=request.news, failures=_failures(checked))
        return messages.CheckResponse(inputs=struct(checked.inputs), failures=_failures(checked.failures))

    @_answering
    def DiffConfig(self, request: Any) -> Any:
        """Never a replacement: that would replace every resource of the provider."""
        changed = values(request.old_inputs) != values(request.news)
        kinds = messages.DiffResponse
        return kinds(changes=kinds.DIFF_SOME if changed else kinds.DIFF_NONE)

    @_answering
    def Configure(self, request: Any) -> Any:
        self.provider.configure(values(request.args))
        return messages.ConfigureResponse(supportsPreview=True)

    @_answering
    def Check(self, request: Any) -> Any:
        checked = self.provider.check(_call(request), values(request.olds), values(request.news))
        return messages.CheckResponse(inputs=struct(checked.inputs), failures=_failures(checked.failures))

    @_answering
    def Diff(self, request: Any) -> Any:
        old = State(values(request.old_inputs), values(request.olds))
        return _diff(self.provider.diff(_call(request), request.id, old, values(request.news)))

    @_answering
    def Create(self, request: Any) -> Any:
        call = _call(request, preview=request.preview)
        identity, outputs = self.provider.create(call, values(request.properties))
        return messages.CreateResponse(id="" if request.preview else identity, properties=struct(outputs))

    @_answering
    def Update(self, request: Any) -> Any:
        call = _call(request, preview=request.preview)
        old = State(values(request.old_inputs), values(request.olds))
        outputs = self.provider.update(call, request.id, old, values(request.news))
        return messages.UpdateResponse(properties=struct(outputs))

    @_answering
    def Delete(self, request: Any) -> Any:
        old = State(values(request.old_inputs), values(request.properties))
        self.provider.delete(_call(request), request.id, old)
        return Empty()

    @_answering
    def Read(self, request: Any) -> Any:
        old = State(values(request.inputs), values(request.properties))
        found = self.provider.read(_call(request), request.id, old)
        if found is None:
            return messages.ReadResponse()
        return messages.ReadResponse(
            id=found.identity,
            properties=struct(found.state.outputs),
            inputs=struct(found.state.inputs),
        )

    @_answering
    def Invoke(self, request: Any) -> Any:
        answer = self.provider.invoke(request.tok, values(request.args), preview=request.preview)
        if isinstance(answer, list):
            return messages.InvokeResponse(failures=_failures(answer))
        return messages.InvokeResponse(**{"return": struct(answer)})

    @_answering
    def Cancel(self, request: Any) -> Any:
        """Nothing here takes long enough to be cut short."""
        return Empty()


def _call(request: Any, *, preview: bool = False) -> Call:
    token = request.type or request.urn.split("::")[2].rsplit("$", 1)[-1]
    name = request.name or request.urn.rsplit("::", 1)[-1]
    return Call(request.urn, token, name, preview)


def _failures(failures: Sequence[Failure]) -> list[Any]:
    """The property stays empty: the engine would print its whole value, and the reason names it."""
    return [messages.CheckFailure(reason=failure.reason) for failure in failures]


def _diff(change: Change) -> Any:
    answer, one = messages.DiffResponse, messages.PropertyDiff
    return answer(
        changes=answer.DIFF_SOME if change.paths else answer.DIFF_NONE,
        replaces=change.replaces,
        deleteBeforeReplace=change.delete_before_replace and bool(change.replaces),
        hasDetailedDiff=True,
        detailedDiff={
            path: one(kind=one.UPDATE_REPLACE if replaces else one.UPDATE, inputDiff=True)
            for path, replaces in change.paths.items()
        },
    )
