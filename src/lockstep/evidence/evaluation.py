"""The evaluation of a release as evidence: an in-toto statement, signed, attached to the release.

Format: in-toto Statement v1 with the predicate https://in-toto.io/attestation/test-result/v0.1, extended by
`metrics` and `time`. `result` says whether the evaluation could be made, never whether the model is good
enough: no threshold is known here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lockstep import canonical
from lockstep.evidence import dsse
from lockstep.evidence.signer import Signer
from lockstep.release.store import Store

EVIDENCE_TYPE = "application/vnd.lockstep.evidence.v1+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@dataclass(frozen=True)
class Metrics:
    """accuracy and per_class (label -> accuracy): 0 to 1; images: how many were asked about."""

    accuracy: float
    per_class: dict[str, float]
    images: int


@dataclass(frozen=True)
class TestResult:
    """A statement that was read. metrics: None where the evaluation could not be made; time: RFC 3339 UTC."""

    metrics: Metrics | None
    time: str


def statement(model: str, digest: str, metrics: Metrics, *, dataset: str, time: str) -> dict[str, Any]:
    """What is signed. digest: of the release; dataset: digest of its dataset.json; time: RFC 3339 UTC."""
    return {
        "_type": STATEMENT,
        "subject": [{"name": model, "digest": {"sha256": digest.removeprefix("sha256:")}}],
        "predicateType": TEST_RESULT,
        "predicate": {
            "result": "PASSED",
            "configuration": [
                {"name": "dataset.json", "digest": {"sha256": dataset.removeprefix("sha256:")}}
            ],
            "metrics": {
                "accuracy": metrics.accuracy,
                "per_class": metrics.per_class,
                "images": metrics.images,
            },
            "time": time,
        },
    }


def attach(store: Store, digest: str, metrics: Metrics, *, dataset: str, signer: Signer, time: str) -> str:
    """Sign the evaluation of a release and attach it; the digest of the referrer."""
    said = statement(store.manifest(digest).model, digest, metrics, dataset=dataset, time=time)
    envelope = signer.sign(PAYLOAD_TYPE, canonical.canonical(said))
    return store.attach(digest, EVIDENCE_TYPE, canonical.canonical(envelope))


def subjects(value: dict[str, Any]) -> list[str]:
    """The release digests that a statement is about."""
    listed = value.get("subject")
    if value.get("_type") != STATEMENT or not isinstance(listed, list):
        raise dsse.malformed("this is not an in-toto statement")
    digests = [item.get("digest") for item in listed if isinstance(item, dict)]
    return [
        f"sha256:{digest['sha256']}" for digest in digests if isinstance(digest, dict) and "sha256" in digest
    ]


def read(predicate: object) -> TestResult:
    """A test-result predicate. Raises IntegrityError `evidence.malformed` for any other form or range."""
    if not isinstance(predicate, dict) or predicate.get("result") not in ("PASSED", "WARNED", "FAILED"):
        raise dsse.malformed("the evaluation has no result")
    time, metrics = predicate.get("time"), predicate.get("metrics")
    if not isinstance(time, str) or not _TIME.fullmatch(time):
        raise dsse.malformed("the evaluation has no time in RFC 3339, UTC, with microseconds")
    if predicate["result"] != "PASSED":
        return TestResult(None, time)
    if not isinstance(metrics, dict) or not isinstance(metrics.get("per_class"), dict):
        raise dsse.malformed("the evaluation has no metrics")
    accuracy, images = _share(metrics.get("accuracy")), metrics.get("images")
    if type(images) is not int or images < 1:
        raise dsse.malformed("the evaluation was not over a number of images")
    per_class = {str(label): _share(value) for label, value in metrics["per_class"].items()}
    return TestResult(Metrics(accuracy, per_class, images), time)


def _share(value: object) -> float:
    """A number from 0 to 1. JSON's true is no number here, and a text is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise dsse.malformed(f"{value!r} is not an accuracy between 0 and 1")
    return float(value)
