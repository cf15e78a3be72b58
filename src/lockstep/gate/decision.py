"""The gate's answer, read as strictly as the question is put.

(0) the answer is an object with exactly allow, violations, looked, revision
(1) each of them has its type; `allow` is the exact boolean, never a truthy value
(2) the revision is that of the bundle that was asked
(3) allowed means no violation, denied means at least one; a contradiction is no answer
(4) allowed, and cells change: every rule looked at that many; what saw nothing cannot consent
Whatever fails here raises: no answer is never an allowance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lockstep import canonical
from lockstep.errors import Denied, Violation
from lockstep.gate.opa import Opa
from lockstep.gate.transport import refuse_too_large, unavailable

_PARTS = {"allow", "violations", "looked", "revision"}
_VIOLATION = ("code", "message", "remedy", "cell")


@dataclass(frozen=True)
class Decision:
    """What the policies said about one question.

    input_digest: `sha256:<hex>` of the question's canonical form; looked: rule code -> how many cells it
    looked at; evidence: digests of the evaluations that the question named; raw: OPA's answer as it came.
    """

    allow: bool
    violations: tuple[Violation, ...]
    revision: str
    input_digest: str
    looked: Mapping[str, int]
    evidence: tuple[str, ...]
    raw: Mapping[str, Any]

    @property
    def by(self) -> str:
        """`checkout` where the policies of this checkout judged, `bundle` where a published bundle did."""
        return "checkout" if self.revision.startswith("checkout:") else "bundle"

    def only(self, code: str) -> bool:
        """Denied, and by this rule alone."""
        return not self.allow and {violation.code for violation in self.violations} == {code}

    def require(self) -> None:
        """Raises Denied with every violation unless allowed."""
        if not self.allow:
            raise Denied(self.violations)

    def to_record(self) -> dict[str, Any]:
        """The part of an audit record that says which rules looked at what and said what; canonical JSON."""
        return {
            "allow": self.allow,
            "by": self.by,
            "revision": self.revision,
            "input_digest": self.input_digest,
            "looked": dict(self.looked),
            "violations": [
                {"code": one.code, "cell": one.cell, "message": one.message, "remedy": one.remedy}
                for one in self.violations
            ],
        }


def decide(question: dict[str, Any], *, opa: Opa) -> Decision:
    """Put the question to `data.lockstep.decision`. Raises Unavailable `gate.opa_*` for no answer."""
    refuse_too_large(question)
    digest = canonical.digest_of(question)
    answer = opa.query(question, "decision")
    return _read(answer, question, digest)


def _read(answer: Any, question: dict[str, Any], digest: str) -> Decision:
    if not isinstance(answer, dict) or set(answer) != _PARTS:  # (0)
        raise unavailable("nonsense", "OPA's answer is not a decision")
    allow, looked, revision = answer["allow"], answer["looked"], answer["revision"]
    if allow is not True and allow is not False:  # (1)
        raise unavailable("nonsense", "OPA's answer says neither true nor false")
    if not isinstance(looked, dict) or not all(type(number) is int for number in looked.values()):
        raise unavailable("nonsense", "OPA's answer does not say what its rules looked at")
    violations = _violations(answer["violations"])
    if revision != question["bundle"]["revision"]:  # (2)
        raise unavailable(
            "wrong_bundle", f"the bundle that answered is {str(revision)[:80]}, not the one asked"
        )
    if allow is bool(violations):  # (3)
        raise unavailable(
            "nonsense", "OPA's answer contradicts itself: its verdict does not match its reasons"
        )
    changed = sum(cell["from"] != cell["to"] for cell in question["cells"])
    if allow and changed and min(looked.values(), default=0) < changed:  # (4)
        raise unavailable("blind", f"OPA allows what not all of its rules looked at: {changed} cells change")
    return Decision(allow, violations, revision, digest, looked, _evidence(question), answer)


def _violations(value: Any) -> tuple[Violation, ...]:
    if not isinstance(value, list) or not all(_is_violation(one) for one in value):
        raise unavailable("nonsense", "OPA's answer does not list its reasons")
    found = [Violation(**{part: one[part] for part in _VIOLATION}) for one in value]
    return tuple(sorted(found, key=lambda one: (one.code, one.cell, one.message)))


def _is_violation(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == set(_VIOLATION)
        and all(type(v) is str for v in value.values())
    )


def _evidence(question: dict[str, Any]) -> tuple[str, ...]:
    evaluations = [release["evaluation"] for release in question["releases"].values()]
    return tuple(sorted({evaluation["digest"] for evaluation in evaluations if evaluation is not None}))
