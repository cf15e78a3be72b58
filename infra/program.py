"""Wires bucket, gate, services, routes and receipt, in that order, for any target.

Services take their release and routes their weights from the gate's output and from nowhere else. What
is declared decides only which resources exist: a service for each slot that names a release.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

import pulumi

from infra.config import Settings
from infra.resources import PromotionGate, PromotionReceipt
from lockstep.table import SLOTS, cells, release_in


def target_of(settings: Settings) -> ModuleType:
    """The module with this target's nouns."""
    return import_module(f"infra.{settings.target}.target")


def build(settings: Settings) -> dict[str, pulumi.Input[Any]]:
    """Declare the whole stack; the stack's outputs."""
    target = target_of(settings)
    ground = target.ground(settings)
    bucket = target.audit_bucket(ground)
    gate = PromotionGate(
        "gate",
        table=settings.table,
        store=ground.store,
        opa_url=settings.opa_url,
        allow_destroy=settings.allow_destroy,
        **settings.log,
        opts=pulumi.ResourceOptions(depends_on=[bucket]),
    )
    places = {name: target.region(ground, name, after=[bucket, gate]) for name in settings.regions}
    # Before the routes, so that a destroy that is refused at the routes has not stopped it already.
    entry = target.entry_point(ground, places)
    routes: list[pulumi.Resource] = []
    for model, region, cell in cells(settings.table):
        allowed = gate.cells[model][region]
        place = places[region]
        services = [
            target.service(ground, place, model, slot, allowed, after=[gate])
            for slot in SLOTS
            if release_in(cell, slot) is not None
        ]
        after = [place.gateway, *entry.resources, *services]
        routes.append(target.route(ground, place, model, allowed, after=after))
    receipt = PromotionReceipt(
        "receipt",
        intent=gate.intent,
        allow_destroy=settings.allow_destroy,
        **settings.log,
        opts=pulumi.ResourceOptions(depends_on=[gate, *entry.resources, *routes]),
    )
    return {
        "entrypoint": entry.url,
        "head": pulumi.Output.all(receipt.head_size, receipt.head_root).apply(
            lambda parts: f"{parts[0]}:{parts[1]}"
        ),
        "outcome": receipt.outcome,
        "cells": gate.cells,
    }
