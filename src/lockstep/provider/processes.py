"""The local resources that are a process each: audit bucket, gateway, model service, entry point.

They share one life: Create starts and waits, adopts what runs already, and stops what it started if
it does not get ready; Diff asks what is alive, so that an update after a reboot brings everything
back although nothing changed in the state; Delete stops what was started and nothing else.
"""

from __future__ import annotations

from typing import Any, ClassVar

from lockstep.local.stack import LocalStack
from lockstep.provider.kind import Call, Change, Values, differing, holds_unknown
from lockstep.provider.ledger import ledger_of


class _Process:
    """The shared life. A kind names its process and says how to start it."""

    token = ""
    description = ""
    inputs: ClassVar[dict[str, Any]]
    outputs: ClassVar[dict[str, Any]] = {}
    replace_on: tuple[str, ...] = ()
    unobserved: tuple[str, ...] = ()
    """Inputs that justify an update but do not make one due."""

    def process(self, values: Values) -> str:
        raise NotImplementedError

    def start(self, stack: LocalStack, inputs: Values) -> Values:
        """Bring it up, wait until ready, return outputs beyond the inputs."""
        raise NotImplementedError

    def authorize(self, call: Call, inputs: Values) -> None:
        """Raise unless the record allows this; most processes carry no traffic of their own."""

    def foreseen(self, stack: LocalStack, inputs: Values) -> Values:
        """What a preview knows of the outputs beyond the inputs."""
        return {}

    def stop(self, stack: LocalStack, outputs: Values) -> None:
        stack.supervisor.stop(self.process(outputs))

    def check(self, call: Call, inputs: Values) -> list[str]:
        return []

    def changed(self, call: Call, outputs: Values, inputs: Values) -> Change:
        different = [key for key in differing(outputs, inputs) if key not in self.unobserved]
        replaces = [key for key in different if key in self.replace_on]
        alive = self.process(outputs) in call.session.alive(call.stack)
        return Change(bool(different) or not alive, replaces)

    def create(self, call: Call, inputs: Values) -> tuple[str, Values]:
        identity = self.process(inputs) if not holds_unknown(inputs) else ""
        return identity, self._up(call, inputs)

    def update(self, call: Call, identity: str, outputs: Values, inputs: Values) -> Values:
        return self._up(call, inputs)

    def _up(self, call: Call, inputs: Values) -> Values:
        stack = call.session.stack(call.stack)
        if call.preview:
            return {**inputs, **self.foreseen(stack, inputs)}
        self.authorize(call, inputs)
        return {**inputs, **self.start(stack, inputs)}

    def delete(self, call: Call, identity: str, outputs: Values) -> None:
        self.stop(call.session.stack(call.stack), outputs)

    def read(self, call: Call, identity: str, outputs: Values) -> Values | None:
        return outputs if self.process(outputs) in call.session.alive(call.stack) else None


class AuditBucket(_Process):
    token = "lockstep:index:AuditBucket"
    description = "An S3 bucket with object lock on this machine. Deleting it stops it and keeps the records."
    inputs: ClassVar[dict[str, Any]] = {"bucket": {"type": "string"}, "port": {"type": "integer"}}
    outputs: ClassVar[dict[str, Any]] = {"endpoint": {"type": "string"}}
    replace_on = ("bucket",)

    def process(self, values: Values) -> str:
        return "audit-bucket"

    def start(self, stack: LocalStack, inputs: Values) -> Values:
        return {"endpoint": stack.start_bucket(inputs["bucket"], near=inputs["port"])}

    def foreseen(self, stack: LocalStack, inputs: Values) -> Values:
        port = stack.ports.get("audit-bucket")
        return {"endpoint": f"http://127.0.0.1:{port}" if port else ""}


class Gateway(_Process):
    token = "lockstep:index:Gateway"
    description = "A region's Envoy: takes the region's traffic and splits it by the routes."
    inputs: ClassVar[dict[str, Any]] = {"region": {"type": "string"}, "port": {"type": "integer"}}
    replace_on = ("region",)

    def process(self, values: Values) -> str:
        return f"gateway-{values['region']}"

    def start(self, stack: LocalStack, inputs: Values) -> Values:
        stack.start_gateway(inputs["region"], near=inputs["port"])
        return {}

    def stop(self, stack: LocalStack, outputs: Values) -> None:
        stack.stop_gateway(outputs["region"])


class ModelService(_Process):
    token = "lockstep:index:ModelService"
    description = "A release of a model, served in one region and slot."
    inputs: ClassVar[dict[str, Any]] = {
        "model": {"type": "string"},
        "region": {"type": "string"},
        "slot": {"type": "string"},
        "release": {"type": "string", "description": "digest, from the gate's output"},
        "runtime": {"type": "string", "description": "onnx, torch or tensorrt"},
        "store": {"type": "string"},
        "port": {"type": "integer"},
        "intent": {"type": "integer", "description": "index of the newest intent about this cell"},
        "environment": {"type": "string"},
        "bucket": {"type": "string"},
        "retention_days": {"type": "integer"},
    }
    replace_on = ("model", "region", "slot")
    unobserved = ("intent", "retention_days")

    def process(self, values: Values) -> str:
        return f"{values['model']}-{values['region']}-{values['slot']}"

    def authorize(self, call: Call, inputs: Values) -> None:
        """The second lock, for whoever edits the program: the record must put this release here."""
        place = (inputs["model"], inputs["region"])
        ledger_of(call, inputs).require_release(place, inputs["slot"], inputs["release"], inputs["intent"])

    def start(self, stack: LocalStack, inputs: Values) -> Values:
        stack.start_service(
            inputs["model"],
            inputs["region"],
            inputs["slot"],
            release=inputs["release"],
            runtime=inputs["runtime"],
            store_url=inputs["store"],
            near=inputs["port"],
        )
        return {}

    def update(self, call: Call, identity: str, outputs: Values, inputs: Values) -> Values:
        """One after the other where a live service gets other settings: the rest answer meanwhile."""
        serves = self.process(outputs) in call.session.alive(call.stack)
        if call.preview or not serves or outputs["release"] != inputs["release"]:
            return super().update(call, identity, outputs, inputs)
        with call.session.restarting:
            return super().update(call, identity, outputs, inputs)

    def stop(self, stack: LocalStack, outputs: Values) -> None:
        stack.stop_service(outputs["model"], outputs["region"], outputs["slot"])


class EntryPoint(_Process):
    token = "lockstep:index:EntryPoint"
    description = "The global entry: an Envoy that spreads traffic over the regions and fails over."
    inputs: ClassVar[dict[str, Any]] = {
        "port": {"type": "integer"},
        "regions": {"type": "array", "items": {"type": "string"}},
    }
    outputs: ClassVar[dict[str, Any]] = {"url": {"type": "string"}}

    def process(self, values: Values) -> str:
        return "entry"

    def start(self, stack: LocalStack, inputs: Values) -> Values:
        stack.start_entry(inputs["port"], inputs["regions"])
        return self.foreseen(stack, inputs)

    def foreseen(self, stack: LocalStack, inputs: Values) -> Values:
        return {"url": f"http://127.0.0.1:{inputs['port']}"}
