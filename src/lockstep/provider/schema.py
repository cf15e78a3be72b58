"""The plugin's Pulumi schema, made from what the kinds declare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lockstep import __version__
from lockstep.provider.kind import Kind


def schema(kinds: Sequence[Kind]) -> dict[str, Any]:
    """A Pulumi package schema: one resource a kind; every input is required and repeated as an output."""
    return {
        "name": "lockstep",
        "version": __version__,
        "description": "Gated, recorded changes of a vision-model fleet, and its local resources.",
        "resources": {kind.token: _resource(kind) for kind in kinds},
    }


def _resource(kind: Kind) -> dict[str, Any]:
    properties = {**kind.inputs, **kind.outputs}
    return {
        "description": kind.description,
        "inputProperties": kind.inputs,
        "requiredInputs": sorted(kind.inputs),
        "properties": properties,
        "required": sorted(properties),
    }
