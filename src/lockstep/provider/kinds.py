"""Every kind of resource that the plugin has."""

from lockstep.provider.gate import PromotionGate
from lockstep.provider.kind import Kind
from lockstep.provider.processes import AuditBucket, EntryPoint, Gateway, ModelService
from lockstep.provider.receipt import PromotionReceipt
from lockstep.provider.route import Route
from lockstep.provider.warrant import ReleaseWarrant, RouteWarrant

KINDS: list[Kind] = [
    AuditBucket(),
    PromotionGate(),
    Gateway(),
    ModelService(),
    Route(),
    EntryPoint(),
    PromotionReceipt(),
    ReleaseWarrant(),
    RouteWarrant(),
]
