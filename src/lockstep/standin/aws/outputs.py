"""A resource's outputs: what was put in, what AWS adds, and in a preview what nobody knows yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lockstep.standin.aws.behaviour import Behaviour
from lockstep.standin.aws.identity import Identity, Lookup, id_and_arn
from lockstep.standin.aws.sdk import Signature
from lockstep.standin.aws.shape import BOOLEAN, INTEGER, NUMBER, ListOf, MapOf, Record, Shape, Simple
from lockstep.standin.aws.within import merged
from lockstep.standin.provider import DEFAULTS, State
from lockstep.standin.wire import UNKNOWN, Values

THEN = "2026-01-01T00:00:00Z"
STATES = ("status", "state")
TIMES = ("At", "Date", "notAfter", "notBefore")


def given(
    inputs: Values, signature: Signature, behaviour: Behaviour, region: str, tags: Mapping[str, str]
) -> Values:
    """What is known of the outputs before anything is made."""
    known = {key: value for key, value in inputs.items() if key != DEFAULTS and value is not None}
    for key, value in behaviour.defaults.items():
        known[key] = merged(value, known.get(key))
    fields = signature.outputs.fields
    if "region" in fields:
        known.setdefault("region", region)
    if "tagsAll" in fields:
        own = known.get("tags") or {}
        known["tagsAll"] = UNKNOWN if own is UNKNOWN else {**tags, **own}
    return {key: value for key, value in known.items() if key in fields or key in signature.inputs.fields}


def foreseen(known: Values, signature: Signature, behaviour: Behaviour) -> Values:
    """The outputs in a preview of a creation: what AWS will say is unknown."""
    outputs = {
        key: merged(_unknown(value), known[key]) if key in known else UNKNOWN
        for key, value in behaviour.outputs.items()
    }
    always = {key: UNKNOWN for key, field in signature.outputs.fields.items() if field.required}
    return {**always, **outputs, **{key: value for key, value in known.items() if key not in outputs}}


def made(
    known: Values, signature: Signature, behaviour: Behaviour, identity: Identity, lookup: Lookup
) -> tuple[str, Values]:
    """Identity and outputs of what has been created."""
    first_id, arn = id_and_arn(behaviour, identity, known, lookup)
    named = {**known, "id": first_id, "arn": arn}
    filled = {key: identity.fill(value, named, lookup) for key, value in behaviour.outputs.items()}
    outputs = {key: merged(value, known.get(key)) for key, value in filled.items()}
    outputs = {**known, **outputs}
    fields = signature.outputs.fields
    if "arn" in fields and arn:
        outputs["arn"] = known.get("arn", arn)
    for key, field in fields.items():
        if field.required and outputs.get(key) is None:
            outputs[key] = nothing(field.shape, key)
    # An identity that needs an output (a target's, an association's) is made once that is there.
    return id_and_arn(behaviour, identity, {**outputs, "arn": arn}, lookup)[0], outputs


def carried(known: Values, old: State, inputs: Values, signature: Signature, behaviour: Behaviour) -> Values:
    """The outputs after an update: what is put in now, and what AWS had said before."""
    dropped = {key for key in old.inputs if key not in inputs}
    kept = {key for key in old.outputs if key in signature.outputs.fields and key not in dropped}
    outputs = {key: old.outputs[key] for key in kept} | known
    for key, added in behaviour.outputs.items():
        if isinstance(added, dict) and key in kept and isinstance(outputs[key], dict):
            outputs[key] = {**{part: old.outputs[key].get(part) for part in added}, **outputs[key]}
    return outputs


def _unknown(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unknown(item) for key, item in value.items()}
    return UNKNOWN


def nothing(shape: Shape, name: str) -> Any:
    """A value of the shape that nothing is known about."""
    if isinstance(shape, Record):
        return {key: nothing(field.shape, key) for key, field in shape.fields.items() if field.required}
    if isinstance(shape, ListOf):
        return []
    if isinstance(shape, MapOf):
        return {}
    if isinstance(shape, Simple) and shape.kind in (INTEGER, NUMBER):
        return 0
    if isinstance(shape, Simple) and shape.kind == BOOLEAN:
        return False
    if name in STATES:
        return "ACTIVE"
    return THEN if name.endswith(TIMES) else ""
