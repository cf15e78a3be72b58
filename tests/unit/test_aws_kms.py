"""Keys in KMS sign records and heads; what is not theirs, or does not verify, is refused before use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lockstep.audit.note import NoteKey, open_note, sign
from lockstep.audit.sigv4 import Credentials
from lockstep.aws.kms import HEADS, RECORDS, KmsHeads, KmsSealer, alias_of
from lockstep.aws.service import Refused, Service
from lockstep.errors import IntegrityError, Unavailable, UsageError
from lockstep.evidence.keys import Person, Trust
from tests.support.kms import FakeKms, serving

REGION, TYPE = "eu-central-1", "application/vnd.lockstep.record+json"
P256, ED25519 = "ECC_NIST_P256", "ECC_NIST_EDWARDS25519"


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKms]:
    fake = FakeKms(REGION, "AK", "SK", "session")
    fake.make(alias_of("staging", RECORDS), P256)
    fake.make(alias_of("staging", HEADS), ED25519)
    with serving(fake):
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", fake.endpoint)
        yield fake


def service(secret: str = "SK", token: str = "session") -> Service:
    return Service("kms", REGION, lambda: Credentials("AK", secret, REGION, token))


def test_a_record_of_any_size_is_sealed_and_verifies_by_the_public_key(kms: FakeKms) -> None:
    sealer = KmsSealer.find(service(), "staging", RECORDS)
    trust = Trust("staging", {"ci": Person("ci", frozenset({"deployer"}), {sealer.keyid: sealer.public})})
    for payload in (b"{}", b"x" * 60_000):
        assert trust.verify(sealer.sign(TYPE, payload), TYPE, "deployer").payload == payload


def test_a_head_is_a_note_that_two_writers_sign_alike(kms: FakeKms) -> None:
    heads = KmsHeads.find(service(), "staging", HEADS)
    key = NoteKey("lockstep/staging", heads.public_raw)
    notes = {sign(key.name, 1, b"\x01" * 32, key, heads.sign_bytes) for _ in range(2)}
    assert len(notes) == 1
    assert open_note(notes.pop(), [key], key.name).size == 1


def test_an_alias_that_moves_in_between_changes_nothing(kms: FakeKms) -> None:
    sealer = KmsSealer.find(service(), "staging", RECORDS)
    kms.make(alias_of("staging", RECORDS), P256)
    sealer.sign(TYPE, b"x")
    assert KmsSealer.find(service(), "staging", RECORDS).keyid != sealer.keyid


def test_a_key_that_is_not_there_is_named(kms: FakeKms) -> None:
    with pytest.raises(UsageError) as caught:
        KmsSealer.find(service(), "prod", RECORDS)
    assert caught.value.code == "aws.no_key"
    assert "alias/lockstep-prod-records in eu-central-1" in caught.value.message


@pytest.mark.parametrize(("noun", "spec"), [(RECORDS, ED25519), (HEADS, P256)])
def test_a_key_of_another_kind_signs_nothing(kms: FakeKms, noun: str, spec: str) -> None:
    kms.make(alias_of("staging", noun), spec)
    with pytest.raises(IntegrityError, match=r"aws\.other_key"):
        KmsSealer.find(service(), "staging", noun)
    assert "Sign" not in kms.asked


@pytest.mark.parametrize("noun", [RECORDS, HEADS])
def test_a_signature_over_something_else_is_never_used(kms: FakeKms, noun: str) -> None:
    kms.forge = b"\x07" * 32
    with pytest.raises(IntegrityError) as caught:
        if noun == RECORDS:
            KmsSealer.find(service(), "staging", noun).sign(TYPE, b"x")
        else:
            KmsHeads.find(service(), "staging", noun).sign_bytes(b"x")
    assert caught.value.code == "aws.bad_signature"


@pytest.mark.parametrize(("secret", "token"), [("wrong", "session"), ("SK", ""), ("SK", "other")])
def test_whoever_is_refused_is_told_by_the_service_s_word(kms: FakeKms, secret: str, token: str) -> None:
    with pytest.raises(Refused) as caught:
        KmsSealer.find(service(secret, token), "staging", RECORDS)
    assert caught.value.name == "IncompleteSignatureException"


def test_a_denial_points_to_who_may_do_what(kms: FakeKms) -> None:
    kms.faults = [(400, "com.amazonaws.kms#AccessDeniedException")]
    with pytest.raises(Refused) as caught:
        KmsSealer.find(service(), "staging", RECORDS)
    assert caught.value.code == "aws.refused"
    assert "docs/aws.md" in caught.value.remedy


def test_a_fault_of_the_service_and_silence_are_no_answer(
    kms: FakeKms, monkeypatch: pytest.MonkeyPatch
) -> None:
    kms.faults = [(500, "KMSInternalException")]
    with pytest.raises(Unavailable, match=r"aws\.silent"):
        KmsSealer.find(service(), "staging", RECORDS)
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match=r"aws\.silent"):
        KmsSealer.find(service(), "staging", RECORDS)


def test_a_word_of_the_service_that_is_none_is_not_repeated(kms: FakeKms) -> None:
    kms.faults = [(400, "<script>alert(1)</script>")]
    with pytest.raises(Refused) as caught:
        KmsSealer.find(service(), "staging", RECORDS)
    assert caught.value.name == "HTTP 400"
