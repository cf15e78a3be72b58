"""The question that is put to the gate, whole: one example, and small ways to make others of it."""

from __future__ import annotations

import copy
from typing import Any

STANDING = "sha256:" + "a1" * 32
CANDIDATE = "sha256:" + "b2" * 32
THIRD = "sha256:" + "c3" * 32
EVIDENCE = "sha256:" + "e5" * 32
NOW = "2026-11-21T10:00:00.000000Z"


def cell(blue: str | None, green: str | None, weight: float) -> dict[str, Any]:
    return {"blue": blue, "green": green, "green_weight": weight}


def release(**changes: Any) -> dict[str, Any]:
    """Everything known about a good release."""
    facts = {
        "model": "digits",
        "exists": True,
        "verified": True,
        "evaluation": {
            "accuracy": 0.97,
            "per_class": {"0": 1, "1": 0.94},
            "images": 360,
            "person": "local-builder",
            "roles": ["builder"],
            "digest": EVIDENCE,
            "time": "2026-11-21T09:00:00.000000Z",
        },
    }
    return facts | changes


def place(region: str, before: Any, after: Any, **changes: Any) -> dict[str, Any]:
    """A place whose record, gateway and services agree on `before`, and where STANDING stands."""
    slots = {slot: (before or {}).get(slot) for slot in ("blue", "green")}
    facts = {
        "model": "digits",
        "region": region,
        "first": False,
        "from": before,
        "to": after,
        "recorded": before,
        "intent": None,
        "live": before,
        "serving": slots,
        "ready": {slot: True if slots[slot] else None for slot in slots},
        "standing": STANDING,
        "former": None,
        "base": None,
        "at_full_since": None,
    }
    return facts | changes


def question(cells: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    facts = {
        "version": 1,
        "kind": "step",
        "stack": "local",
        "environment": "local",
        "now": NOW,
        "log": {"state": "present", "size": 12},
        "bundle": {"revision": "checkout:0123456789abcdef"},
        "cells": cells,
        "marks": [],
        "releases": {digest: release() for digest in (STANDING, CANDIDATE, THIRD)},
        "barred": [],
        "rollback": None,
        "reasons": {},
    }
    return copy.deepcopy(facts | changes)


def example() -> dict[str, Any]:
    """The candidate lies ready in green of both regions; in local-a it goes from 0 to 5 %."""
    resting = cell(STANDING, CANDIDATE, 0)
    return question(
        [
            place("local-a", resting, cell(STANDING, CANDIDATE, 5)),
            place("local-b", resting, resting),
        ]
    )


def step(before: float, after: float, **changes: Any) -> dict[str, Any]:
    """The candidate's share in local-a goes from `before` to `after` percent."""
    base = cell(STANDING, CANDIDATE, 0) if before else None
    at, to = cell(STANDING, CANDIDATE, before), cell(STANDING, CANDIDATE, after)
    return question([place("local-a", at, to, base=base)], **changes)
