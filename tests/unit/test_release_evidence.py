"""What is believed about a release: the newest valid evaluation, or the reason why there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lockstep import canonical
from lockstep.errors import IntegrityError, UsageError
from lockstep.evidence import collect, evaluation
from lockstep.release.folder import FolderStore
from tests.support import releases


@pytest.fixture
def keys(tmp_path: Path) -> releases.Keys:
    return releases.local_keys(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return releases.store_in(tmp_path)


def _attach(store: FolderStore, digest: str, keys: releases.Keys, statement: object) -> str:
    envelope = keys.signer("builder").sign(evaluation.PAYLOAD_TYPE, canonical.canonical(statement))
    return store.attach(digest, evaluation.EVIDENCE_TYPE, canonical.canonical(envelope))


def _statement(digest: str, **predicate: object) -> dict[str, Any]:
    metrics = evaluation.Metrics(0.9, {"0": 0.9}, 10)
    said = evaluation.statement("digits", digest, metrics, dataset="sha256:" + "0" * 64, time=releases.NOW)
    said["predicate"] |= predicate
    return said


def test_a_signed_evaluation_is_believed(store: FolderStore, keys: releases.Keys) -> None:
    digest = releases.put(store)
    attached = releases.evaluate(store, digest, keys.signer("builder"), accuracy=0.97)
    evidence = collect(store, digest, keys.trust)
    assert evidence.evaluation == {
        "accuracy": 0.97,
        "per_class": {"0": 0.97, "1": 0.97},
        "images": 360,
        "person": "local-builder",
        "roles": ["builder"],
        "digest": attached,
        "time": releases.NOW,
    }
    assert (evidence.reason, evidence.digests) == (None, [attached])


def test_the_statement_is_in_totos(store: FolderStore, keys: releases.Keys) -> None:
    digest = releases.put(store)
    releases.evaluate(store, digest, keys.signer("builder"))
    (referrer,) = store.referrers(digest)
    signed = keys.trust.verify(
        canonical.parse_canonical(referrer.payload), evaluation.PAYLOAD_TYPE, "builder"
    )
    said = canonical.parse_canonical(signed.payload)
    assert said["_type"] == "https://in-toto.io/Statement/v1"
    assert said["subject"] == [{"name": "digits", "digest": {"sha256": digest[7:]}}]
    assert said["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    dataset = store.manifest(digest).blob("dataset.json").digest
    assert said["predicate"]["configuration"] == [{"name": "dataset.json", "digest": {"sha256": dataset[7:]}}]


def test_nothing_attached_is_a_reason(store: FolderStore, keys: releases.Keys) -> None:
    evidence = collect(store, releases.put(store), keys.trust)
    assert evidence.evaluation is None
    assert evidence.reason == "no evaluation is attached to this release"


def test_an_unknown_release_is_refused(store: FolderStore, keys: releases.Keys) -> None:
    with pytest.raises(UsageError, match=r"release\.unknown"):
        collect(store, "sha256:" + "0" * 64, keys.trust)


@pytest.mark.parametrize("order", [(0.9, 0.5), (0.5, 0.9)])
def test_the_newest_evaluation_counts_not_the_best_or_last(
    store: FolderStore, keys: releases.Keys, order: tuple[float, float]
) -> None:
    digest = releases.put(store)
    times = {0.9: releases.NOW, 0.5: releases.LATER}
    for accuracy in order:
        releases.evaluate(store, digest, keys.signer("builder"), accuracy=accuracy, time=times[accuracy])
    evidence = collect(store, digest, keys.trust)
    assert evidence.evaluation is not None and evidence.evaluation["accuracy"] == 0.5
    assert len(evidence.digests) == 2


def test_an_invalid_one_does_not_hide_a_valid_one(store: FolderStore, keys: releases.Keys) -> None:
    digest = releases.put(store)
    releases.evaluate(store, digest, keys.signer("builder"), accuracy=0.9)
    releases.evaluate(store, digest, keys.signer("deployer"), accuracy=1.0, time=releases.LATER)
    evidence = collect(store, digest, keys.trust)
    assert evidence.evaluation is not None and evidence.evaluation["accuracy"] == 0.9
    assert len(evidence.digests) == 1


def test_a_newer_evaluation_that_could_not_be_made_takes_the_older_ones_place(
    store: FolderStore, keys: releases.Keys
) -> None:
    digest = releases.put(store)
    releases.evaluate(store, digest, keys.signer("builder"))
    _attach(store, digest, keys, _statement(digest, result="FAILED", time=releases.LATER))
    evidence = collect(store, digest, keys.trust)
    assert evidence.evaluation is None and "could not be made" in str(evidence.reason)


@pytest.mark.parametrize(
    "predicate",
    [
        {"result": "GREAT"},
        {"result": None},
        {"time": None},
        {"time": "2026-11-21"},
        {"time": "2026-11-21T02:51:23.123456+01:00"},
        {"metrics": None},
        {"metrics": {"accuracy": 0.9, "images": 10}},
        {"metrics": {"accuracy": "0.9", "images": 10, "per_class": {}}},
        {"metrics": {"accuracy": True, "images": 10, "per_class": {}}},
        {"metrics": {"accuracy": 1.1, "images": 10, "per_class": {}}},
        {"metrics": {"accuracy": -0.1, "images": 10, "per_class": {}}},
        {"metrics": {"accuracy": 0.9, "images": 0, "per_class": {}}},
        {"metrics": {"accuracy": 0.9, "images": True, "per_class": {}}},
        {"metrics": {"accuracy": 0.9, "images": 10, "per_class": {"0": None}}},
    ],
)
def test_a_malformed_evaluation_is_not_believed(
    store: FolderStore, keys: releases.Keys, predicate: dict[str, object]
) -> None:
    digest = releases.put(store)
    _attach(store, digest, keys, _statement(digest, **predicate))
    evidence = collect(store, digest, keys.trust)
    assert evidence.evaluation is None and "evidence.malformed" in str(evidence.reason)
    assert evidence.digests == []


def test_a_number_that_is_not_finite_cannot_be_stated() -> None:
    with pytest.raises(IntegrityError):
        canonical.canonical(_statement("sha256:" + "0" * 64, metrics={"accuracy": float("nan")}))


@pytest.mark.parametrize("subject", [None, [], [1], [{"name": "x"}], [{"digest": {"sha512": "0"}}]])
def test_a_statement_about_nothing_is_not_believed(
    store: FolderStore, keys: releases.Keys, subject: object
) -> None:
    digest = releases.put(store)
    _attach(store, digest, keys, {**_statement(digest), "subject": subject})
    assert collect(store, digest, keys.trust).evaluation is None


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"a":1,"a":1}', b'{ "a": 1}', b"\xff"])
def test_what_is_no_envelope_is_not_believed(store: FolderStore, keys: releases.Keys, payload: bytes) -> None:
    digest = releases.put(store)
    store.attach(digest, evaluation.EVIDENCE_TYPE, payload)
    evidence = collect(store, digest, keys.trust)
    assert evidence.evaluation is None and evidence.reason
