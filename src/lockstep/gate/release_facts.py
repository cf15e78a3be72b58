"""What is known of a release right now: every blob hashed, every signature checked, nothing remembered.

Damage and absence are facts, not errors: a table that only takes traffic away from a damaged release must
still be judged. Only a fault of ours raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lockstep.errors import IntegrityError, LockstepError, Unavailable, UsageError

if TYPE_CHECKING:
    from lockstep.evidence.keys import Trust
    from lockstep.release.store import Store

ABSENT = "not in the store"


def release_facts(digest: str, store: Store, trust: Trust, reasons: dict[str, str]) -> dict[str, Any]:
    """{"model", "exists", "verified", "evaluation"} of a release; why one is not known goes into `reasons`.

    exists: null where the store does not answer. verified: false where a blob is not what its digest names,
    with the name of the blob as reason; null where there is nothing to verify.
    """
    facts: dict[str, Any] = {"model": None, "exists": None, "verified": None, "evaluation": None}
    why: dict[str, str] = {}
    try:
        facts["model"] = store.manifest(digest).model
        store.verify(digest)
        facts["exists"] = facts["verified"] = True
    except UsageError as error:
        facts["exists"] = False
        why = {"exists": ABSENT, "verified": ABSENT, "evaluation": ABSENT, "model": ABSENT}
        if error.code != "release.unknown":
            raise
    except IntegrityError as error:
        facts["exists"], facts["verified"] = True, False
        why = {"verified": error.message, "model": error.message}
    except Unavailable as error:
        why = dict.fromkeys(facts, error.message)
    if facts["exists"]:
        facts["evaluation"], reason = _evaluation(digest, store, trust)
        why["evaluation"] = reason or ""
    for name in ("exists", "verified", "model", "evaluation"):
        if not facts[name]:
            reasons[f"/releases/{digest}/{name}"] = why[name]
    return facts


def _evaluation(digest: str, store: Store, trust: Trust) -> tuple[dict[str, Any] | None, str | None]:
    from lockstep.evidence import collect

    try:
        found = collect(store, digest, trust)
    except LockstepError as error:  # the release may be damaged; then its evidence cannot be had either
        return None, error.message
    return found.evaluation, found.reason
