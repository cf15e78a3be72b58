"""The plugin's resources as Pulumi classes. Every property is what the plugin's schema says.

A test holds these classes against the schema, so that neither grows without the other.
"""

from __future__ import annotations

from typing import Any, ClassVar

import pulumi


class _Resource(pulumi.CustomResource):
    kind: ClassVar[str]
    more_outputs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, name: str, properties: dict[str, Any], opts: pulumi.ResourceOptions | None) -> None:
        outputs = {output: None for output in self.more_outputs}
        super().__init__(f"lockstep:index:{self.kind}", name, {**properties, **outputs}, opts)


class AuditBucket(_Resource):
    kind = "AuditBucket"
    more_outputs = ("endpoint", "drift")
    endpoint: pulumi.Output[str]
    drift: pulumi.Output[str]

    def __init__(
        self, name: str, *, bucket: str, port: int, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, {"bucket": bucket, "port": port}, opts)


class PromotionGate(_Resource):
    kind = "PromotionGate"
    more_outputs = ("cells", "intent", "change")
    cells: pulumi.Output[dict[str, dict[str, dict[str, Any]]]]
    intent: pulumi.Output[int]
    change: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        table: dict[str, Any],
        environment: str,
        target: str,
        home: str,
        store: str,
        opa_url: str,
        bucket: str,
        retention_days: int,
        allow_destroy: bool,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        properties = {
            "table": table,
            "environment": environment,
            "target": target,
            "home": home,
            "store": store,
            "opa_url": opa_url,
            "bucket": bucket,
            "retention_days": retention_days,
            "allow_destroy": allow_destroy,
        }
        super().__init__(name, properties, opts)


class Gateway(_Resource):
    kind = "Gateway"
    more_outputs = ("drift",)
    drift: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        region: str,
        port: int,
        environment: str,
        bucket: str,
        retention_days: int,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        properties = {
            "region": region,
            "port": port,
            "environment": environment,
            "bucket": bucket,
            "retention_days": retention_days,
        }
        super().__init__(name, properties, opts)


class ModelService(_Resource):
    kind = "ModelService"
    more_outputs = ("drift",)
    drift: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        model: str,
        region: str,
        slot: str,
        release: pulumi.Input[str],
        runtime: str,
        store: str,
        port: int,
        intent: pulumi.Input[int],
        environment: str,
        bucket: str,
        retention_days: int,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        properties = {
            "model": model,
            "region": region,
            "slot": slot,
            "release": release,
            "runtime": runtime,
            "store": store,
            "port": port,
            "intent": intent,
            "environment": environment,
            "bucket": bucket,
            "retention_days": retention_days,
        }
        super().__init__(name, properties, opts)


class Route(_Resource):
    kind = "Route"

    def __init__(
        self,
        name: str,
        *,
        model: str,
        region: str,
        cell: pulumi.Input[dict[str, Any]],
        intent: pulumi.Input[int],
        environment: str,
        bucket: str,
        retention_days: int,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        properties = {
            "model": model,
            "region": region,
            "cell": cell,
            "intent": intent,
            "environment": environment,
            "bucket": bucket,
            "retention_days": retention_days,
        }
        super().__init__(name, properties, opts)


class EntryPoint(_Resource):
    kind = "EntryPoint"
    more_outputs = ("url", "drift")
    url: pulumi.Output[str]
    drift: pulumi.Output[str]

    def __init__(
        self, name: str, *, port: int, regions: list[str], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, {"port": port, "regions": regions}, opts)


class PromotionReceipt(_Resource):
    kind = "PromotionReceipt"
    more_outputs = ("outcome", "head_size", "head_root")
    outcome: pulumi.Output[int]
    head_size: pulumi.Output[int]
    head_root: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        intent: pulumi.Input[int],
        environment: str,
        target: str,
        home: str,
        bucket: str,
        retention_days: int,
        allow_destroy: bool,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        properties = {
            "intent": intent,
            "environment": environment,
            "target": target,
            "home": home,
            "bucket": bucket,
            "retention_days": retention_days,
            "allow_destroy": allow_destroy,
        }
        super().__init__(name, properties, opts)


class ReleaseWarrant(_Resource):
    kind = "ReleaseWarrant"
    more_outputs = ("lock",)
    release: pulumi.Output[str]
    lock: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        model: str,
        region: str,
        slot: str,
        release: pulumi.Input[str],
        intent: pulumi.Input[int],
        runtime: str,
        store: str,
        environment: str,
        target: str,
        home: str,
        bucket: str,
        retention_days: int,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        properties = {
            "model": model,
            "region": region,
            "slot": slot,
            "release": release,
            "intent": intent,
            "runtime": runtime,
            "store": store,
            "environment": environment,
            "target": target,
            "home": home,
            "bucket": bucket,
            "retention_days": retention_days,
        }
        super().__init__(name, properties, opts)


class RouteWarrant(_Resource):
    kind = "RouteWarrant"
    more_outputs = ("record",)
    cell: pulumi.Output[dict[str, Any]]
    intent: pulumi.Output[int]
    record: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        model: str,
        region: str,
        cell: pulumi.Input[dict[str, Any]],
        intent: pulumi.Input[int],
        environment: str,
        target: str,
        home: str,
        bucket: str,
        retention_days: int,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        properties = {
            "model": model,
            "region": region,
            "cell": cell,
            "intent": intent,
            "environment": environment,
            "target": target,
            "home": home,
            "bucket": bucket,
            "retention_days": retention_days,
        }
        super().__init__(name, properties, opts)
