"""The local resources that are a process each: audit bucket, gateway, model service, entry point.

They share one life: Create starts and waits, adopts what runs already, and stops what it started if
it does not get ready; Diff asks what is otherwise than Lockstep left it (lockstep.local.drift), so that an
update after a reboot or somebody's edit brings everything back although nothing changed in the state; Read
puts the same into the output `drift`, of which a refresh warns; Delete stops what was started, nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from lockstep.errors import Unavailable
from lockstep.local.stack import LocalStack
from lockstep.provider.kind import Call, Change, Values, differing, holds_unknown
from lockstep.provider.ledger import ledger_of

if TYPE_CHECKING:
    from lockstep.local.drift import Drift
    from lockstep.local.moment import Moment

DRIFT: dict[str, Any] = {
    "type": "string",
    "description": "what is otherwise than Lockstep left it; empty: nothing",
}


class _Process:
    """The shared life. A kind names its process and says how to start it."""

    token = ""
    description = ""
    inputs: ClassVar[dict[str, Any]]
    outputs: ClassVar[dict[str, Any]] = {"drift": DRIFT}
    replace_on: tuple[str, ...] = ()
    unobserved: tuple[str, ...] = ()
    """Inputs that justify an update but do not make one due."""

    def process(self, values: Values) -> str:
        raise NotImplementedError

    def start(self, call: Call, stack: LocalStack, inputs: Values) -> Values:
        """Bring it up, wait until ready, return outputs beyond the inputs."""
        raise NotImplementedError

    def look(self, moment: Moment, values: Values) -> list[Drift]:
        """What is otherwise than it was left with these values."""
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
        due = different or outputs.get("drift") or self._drift(call, outputs)
        return Change(bool(due), replaces)

    def _drift(self, call: Call, values: Values) -> list[Drift]:
        return call.session.drift(call.stack, self.process(values), lambda moment: self.look(moment, values))

    def create(self, call: Call, inputs: Values) -> tuple[str, Values]:
        identity = self.process(inputs) if not holds_unknown(inputs) else ""
        return identity, self._up(call, inputs)

    def update(self, call: Call, identity: str, outputs: Values, inputs: Values) -> Values:
        return self._up(call, inputs)

    def _up(self, call: Call, inputs: Values) -> Values:
        stack = call.session.stack(call.stack)
        if call.preview:
            return {**inputs, **self.foreseen(stack, inputs), "drift": ""}
        self.authorize(call, inputs)
        return {**inputs, **self.start(call, stack, inputs), "drift": ""}

    def delete(self, call: Call, identity: str, outputs: Values) -> None:
        self.stop(call.session.stack(call.stack), outputs)

    def read(self, call: Call, identity: str, outputs: Values) -> Values | None:
        if self.process(outputs) in call.session.alive(call.stack):
            return {**outputs, "drift": "; ".join(map(str, self._drift(call, outputs)))}
        if call.session.stack(call.stack).supervisor.is_stuck():
            raise Unavailable(
                "supervisord is there but does not answer, so nobody can say what runs",
                code="process.supervisor_silent",
                remedy="run `./lockstep up`, which wakes it or starts it anew, then refresh",
            )
        return None


class AuditBucket(_Process):
    token = "lockstep:index:AuditBucket"
    description = "An S3 bucket with object lock on this machine. Deleting it stops it and keeps the records."
    inputs: ClassVar[dict[str, Any]] = {"bucket": {"type": "string"}, "port": {"type": "integer"}}
    outputs: ClassVar[dict[str, Any]] = {"endpoint": {"type": "string"}, "drift": DRIFT}
    replace_on = ("bucket",)

    def process(self, values: Values) -> str:
        return "audit-bucket"

    def start(self, call: Call, stack: LocalStack, inputs: Values) -> Values:
        return {"endpoint": stack.start_bucket(inputs["bucket"], near=inputs["port"])}

    def look(self, moment: Moment, values: Values) -> list[Drift]:
        from lockstep.local.drift import of_bucket

        return of_bucket(moment, values["bucket"])

    def foreseen(self, stack: LocalStack, inputs: Values) -> Values:
        port = stack.ports.get("audit-bucket")
        return {"endpoint": f"http://127.0.0.1:{port}" if port else ""}


class Gateway(_Process):
    token = "lockstep:index:Gateway"
    description = "A region's Envoy: takes the region's traffic and splits it by the routes."
    inputs: ClassVar[dict[str, Any]] = {
        "region": {"type": "string"},
        "port": {"type": "integer"},
        "environment": {"type": "string"},
        "bucket": {"type": "string"},
        "retention_days": {"type": "integer"},
    }
    replace_on = ("region",)
    unobserved = ("environment", "bucket", "retention_days")

    def process(self, values: Values) -> str:
        return f"gateway-{values['region']}"

    def start(self, call: Call, stack: LocalStack, inputs: Values) -> Values:
        """The second lock again: a route in its files that no record explains is not put in force."""
        ledger = ledger_of(call, inputs)
        stack.start_gateway(inputs["region"], near=inputs["port"], vouched=ledger.vouches)
        return {}

    def look(self, moment: Moment, values: Values) -> list[Drift]:
        from lockstep.local.drift import of_gateway

        return of_gateway(moment, values["region"])

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

    def start(self, call: Call, stack: LocalStack, inputs: Values) -> Values:
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

    def look(self, moment: Moment, values: Values) -> list[Drift]:
        from lockstep.local.drift import of_service

        place = (values["model"], values["region"], values["slot"])
        return of_service(moment, *place, release=values["release"], runtime=values["runtime"])

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
    outputs: ClassVar[dict[str, Any]] = {"url": {"type": "string"}, "drift": DRIFT}

    def process(self, values: Values) -> str:
        return "entry"

    def start(self, call: Call, stack: LocalStack, inputs: Values) -> Values:
        stack.start_entry(inputs["port"], inputs["regions"])
        return self.foreseen(stack, inputs)

    def look(self, moment: Moment, values: Values) -> list[Drift]:
        from lockstep.local.drift import of_entry

        return of_entry(moment, values["port"], values["regions"])

    def foreseen(self, stack: LocalStack, inputs: Values) -> Values:
        return {"url": f"http://127.0.0.1:{inputs['port']}"}
