"""What can be believed about a release: its attached statements, each verified.

    (1) the attached bytes are what their digest names; (2) they are an envelope signed by a builder of this
    environment; (3) the statement in it is about this very release; (4) it is well-formed.

A statement that fails a step is left out and its reason kept. Of several evaluations the newest counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lockstep import canonical
from lockstep.errors import IntegrityError
from lockstep.evidence import evaluation
from lockstep.evidence.evaluation import TestResult
from lockstep.evidence.keys import Signed, Trust
from lockstep.release.store import Referrer, Store

BUILDER = "builder"
_AGAIN = "build the release again: that attaches a fresh signed evaluation"


@dataclass(frozen=True)
class Evidence:
    """evaluation: the newest valid one, or None and then `reason` says why; digests: of everything valid.

    evaluation = {"accuracy", "per_class", "images", "person", "roles", "digest", "time"}.
    """

    evaluation: dict[str, Any] | None
    reason: str | None
    digests: list[str]


def collect(store: Store, digest: str, trust: Trust) -> Evidence:
    """Verify what is attached to a release. Raises UsageError `release.unknown`; never trusts on error."""
    results: list[tuple[TestResult, Signed, str]] = []
    digests: list[str] = []
    refused: list[str] = []
    for referrer in store.referrers(digest, evaluation.EVIDENCE_TYPE):
        try:
            signed, statement = _statement(referrer, digest, trust)
            if statement.get("predicateType") == evaluation.TEST_RESULT:
                results.append((evaluation.read(statement.get("predicate")), signed, referrer.digest))
            digests.append(referrer.digest)
        except IntegrityError as error:
            refused.append(f"{referrer.digest[:19]}: {error.message} [{error.code}]")
    if not results:
        reason = "; ".join(refused) or "no evaluation is attached to this release"
        return Evidence(None, reason, digests)
    result, signed, name = max(results, key=lambda found: found[0].time)
    if result.metrics is None:
        return Evidence(None, f"{name[:19]}: the newest evaluation could not be made", digests)
    return Evidence(
        {
            "accuracy": result.metrics.accuracy,
            "per_class": result.metrics.per_class,
            "images": result.metrics.images,
            "person": signed.person,
            "roles": sorted(trust.people[signed.person].roles),
            "digest": name,
            "time": result.time,
        },
        None,
        digests,
    )


def _statement(referrer: Referrer, digest: str, trust: Trust) -> tuple[Signed, dict[str, Any]]:
    if referrer.problem is not None:  # (1)
        raise IntegrityError(referrer.problem, code="evidence.corrupt", remedy=_AGAIN)
    envelope = canonical.parse_canonical(referrer.payload)
    signed = trust.verify(envelope, evaluation.PAYLOAD_TYPE, BUILDER)  # (2)
    statement = canonical.parse_canonical(signed.payload)
    if not isinstance(statement, dict) or evaluation.subjects(statement) != [digest]:  # (3)
        raise IntegrityError(
            "the statement is about another release", code="evidence.wrong_subject", remedy=_AGAIN
        )
    return signed, statement  # (4) is for whoever knows the predicate
