"""The local resources that are a process each: audit bucket, gateway, model service, entry point.

They share one life: Create starts and waits, adopts what runs already, and stops what it started if
it does not get ready; Diff asks what is alive, so that an update after a reboot brings everything
back although nothing changed in the state; Delete stops what was started and nothing else.
"""

from __future__ import annotations

from typing import Any, ClassVar

from lockstep.local.stack import LocalStack
from lockstep.provider.kind import Call, Change, Values, differing, holds_unknown


class _Process:
    """The shared life. A kind names its process and says how to start it."""

    token = ""
    description = ""
    inputs: ClassVar[dict[str, Any]]
    outputs: ClassVar[dict[str, Any]] = {}
    replace_on: tuple[str, ...] = ()

    def process(self, values: Values) -> str:
        raise NotImplementedError

    def start(self, stack: LocalStack, inputs: Values) -> Values:
        """Bring it up, wait until ready, return outputs beyond the inputs."""
        raise NotImplementedError

    def foreseen(self, stack: LocalStack, inputs: Values) -> Values:
        """What a preview knows of the outputs beyond the inputs."""
        return {}

    def stop(self, stack: LocalStack, outputs: Values) -> None:
        stack.supervisor.stop(self.process(outputs))

    def check(self, call: Call, inputs: Values) -> list[str]:
        return []

    def changed(self, call: Call, outputs: Values, inputs: Values) -> Change:
        different = differing(outputs, inputs)
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
        more = self.foreseen(stack, inputs) if call.preview else self.start(stack, inputs)
        return {**inputs, **more}

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
    }
    replace_on = ("model", "region", "slot")

    def process(self, values: Values) -> str:
        return f"{values['model']}-{values['region']}-{values['slot']}"

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
