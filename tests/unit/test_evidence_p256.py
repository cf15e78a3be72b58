"""ECDSA P-256: keys and signatures in one form each, held against cryptography and securesystemslib."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner, SSlibKey

from lockstep.audit.drafts import draft_intent
from lockstep.audit.export import ExportFolder, export
from lockstep.audit.keyring import deployer_keys, read_keyring
from lockstep.audit.log import Log
from lockstep.audit.note import ECDSA, NoteKey
from lockstep.audit.opened import keys_of_log
from lockstep.audit.verify import verify
from lockstep.errors import IntegrityError, UsageError
from lockstep.evidence import dsse, p256, pem
from lockstep.evidence.keys import Person, Signer, Trust, load_trust
from lockstep.evidence.p256 import ORDER, P256PublicKey
from tests.support import audit
from tests.support.memory import MemoryBucket
from tests.support.p256 import P256Sealer

TYPE = "application/vnd.in-toto+json"


@pytest.fixture(scope="module")
def sealer() -> P256Sealer:
    return P256Sealer()


def der(r: int, s: int) -> bytes:
    return utils.encode_dss_signature(r, s)


def trust_of(sealer: P256Sealer, *roles: str) -> Trust:
    return Trust("staging", {"ci": Person("ci", frozenset(roles), {sealer.keyid: sealer.public})})


# --- keys


def test_a_key_reads_back_as_cryptography_writes_it(sealer: P256Sealer) -> None:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    written = sealer.private.public_key().public_bytes(serialization.Encoding.PEM, form).decode()
    read = pem.read_public(written)
    assert read == sealer.public
    assert pem.public_pem(read) == written


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP256K1()])
def test_a_key_of_another_curve_is_no_key(curve: ec.EllipticCurve) -> None:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    other = ec.generate_private_key(curve).public_key()
    with pytest.raises(ValueError, match="P-256"):
        pem.read_public(other.public_bytes(serialization.Encoding.PEM, form).decode())


def test_a_point_beside_the_curve_is_no_key(sealer: P256Sealer) -> None:
    data = bytearray(sealer.public.der)
    data[-1] ^= 1
    with pytest.raises(ValueError):
        P256PublicKey.of_der(bytes(data))


def test_a_compressed_point_is_another_spelling_and_refused(sealer: P256Sealer) -> None:
    short = sealer.private.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
    )
    with pytest.raises(ValueError):
        P256PublicKey.of_der(bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200") + short)


# --- signatures


def test_a_signature_verifies_over_its_data_and_no_other(sealer: P256Sealer) -> None:
    signature = sealer.sign_bytes(b"data")
    sealer.public.verify(signature, b"data")
    for other, data in ((sealer, b"datb"), (P256Sealer(), b"data")):
        with pytest.raises(InvalidSignature):
            other.public.verify(signature, data)


def test_what_cryptography_makes_has_the_one_form(sealer: P256Sealer) -> None:
    assert all(p256.is_signature(sealer.sign_bytes(bytes([each]))) for each in range(64))
    assert p256.is_signature(der(1, 1))
    assert p256.is_signature(der(0x80, ORDER - 1))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x30\x06\x02\x01\x01\x02\x01",
        b"\x31" + der(5, 5)[1:],
        der(5, 5) + b"\x00",
        der(0, 5),
        der(5, ORDER),
        bytes.fromhex("3007020200050201" + "05"),  # a zero in front that nothing needs
        bytes.fromhex("30060201850201" + "05"),  # negative
        bytes.fromhex("3081060201050201" + "05"),  # a length in the long form
        bytes.fromhex("300602010503010" + "5"),  # not an integer
        bytes.fromhex("3009020105020105020105"),  # three of them
    ],
)
def test_any_other_form_is_refused(raw: bytes, sealer: P256Sealer) -> None:
    assert not p256.is_signature(raw)
    envelope = dsse.build(TYPE, b"said", {sealer.keyid: raw})
    with pytest.raises(IntegrityError, match=r"evidence\.malformed"):
        dsse.parse(envelope)
    with pytest.raises(InvalidSignature):
        sealer.public.verify(raw, b"data")


# --- envelopes


def test_envelopes_verify_with_securesystemslib_and_theirs_with_ours(sealer: P256Sealer) -> None:
    trust = trust_of(sealer, "deployer")
    public = SSlibKey.from_crypto(sealer.private.public_key(), sealer.keyid)
    mine = sealer.sign(TYPE, "é".encode())
    assert trust.verify(mine, TYPE, "deployer").person == "ci"
    Envelope.from_dict(json.loads(json.dumps(mine))).verify([public], 1)
    theirs = Envelope(b"said", TYPE, {})
    theirs.sign(CryptoSigner(sealer.private, public))
    assert trust.verify(theirs.to_dict(), TYPE, "deployer").payload == b"said"


def test_a_changed_payload_or_role_is_refused(sealer: P256Sealer) -> None:
    envelope = sealer.sign(TYPE, b"said")
    other = {**envelope, "payload": sealer.sign(TYPE, b"unsaid")["payload"]}
    for trust, changed, code in (
        (trust_of(sealer, "deployer"), other, "evidence.bad_signature"),
        (trust_of(sealer, "builder"), envelope, "evidence.wrong_role"),
    ):
        with pytest.raises(IntegrityError) as caught:
            trust.verify(changed, TYPE, "deployer")
        assert caught.value.code == code


def test_an_ed25519_signature_in_the_name_of_a_p256_key_does_not_count(sealer: P256Sealer) -> None:
    signed = Signer.generate().sign(TYPE, b"said")
    forged = {**signed, "signatures": [{**signed["signatures"][0], "keyid": sealer.keyid}]}
    with pytest.raises(IntegrityError, match="bad_signature"):
        trust_of(sealer, "deployer").verify(forged, TYPE, "deployer")


# --- people


def roles(folder: Path, people: dict[str, Any]) -> Path:
    (folder / "data").mkdir()
    (folder / "data" / "roles.json").write_text(json.dumps({"staging": {"people": people}}))
    return folder


def test_a_deployer_may_have_a_p256_key(tmp_path: Path, sealer: P256Sealer) -> None:
    person = {"roles": ["deployer"], "keys": {sealer.keyid: pem.public_pem(sealer.public)}}
    trust = load_trust(roles(tmp_path, {"ci": person}), "staging")
    assert trust.verify(sealer.sign(TYPE, b"x"), TYPE, "deployer").keyid == sealer.keyid


def test_nobody_signs_heads_with_a_p256_key(tmp_path: Path, sealer: P256Sealer) -> None:
    person = {"roles": ["log"], "keys": {sealer.keyid: pem.public_pem(sealer.public)}}
    with pytest.raises(IntegrityError, match="signed with Ed25519 alone"):
        load_trust(roles(tmp_path, {"ci": person}), "staging")


# --- a log


def test_a_log_of_p256_records_verifies_offline_by_public_keys_alone(
    tmp_path: Path, sealer: P256Sealer
) -> None:
    heads = Signer.generate()
    people = [*trust_of(sealer, "deployer").people.values(), audit.person("log", "log", heads)]
    trust = Trust("staging", {one.name: one for one in people})
    origin, bucket = "lockstep/staging", MemoryBucket()
    log = Log(bucket, origin, sealer, heads, trust, keys_of_log(trust, origin))
    made = draft_intent(
        from_={},
        to=audit.table(audit.cell(audit.PLAIN), audit.cell(audit.PLAIN)),
        change="first",
        decision=audit.decision(),
        marked={},
        claimed="ci",
    )
    log.append(made, expect_size=0, now=audit.START, retention=timedelta(days=1))
    signers = deployer_keys(trust)
    assert signers[0].algorithm == ECDSA
    deployers = {keyid: pem.public_pem(key) for keyid, key in trust.keys_of("deployer").items()}
    folder = tmp_path / "export"
    export(bucket, folder, log.head(), log.log_keys, deployers, signers=signers)

    ring = read_keyring([str(folder / "log.vkey"), str(folder / "deployers.vkey")])
    report = verify(ExportFolder(folder), ring.origin, ring.trust, ring.log_keys, now=audit.START)
    assert report.ok, report.problems
    strangers = read_keyring([str(folder / "log.vkey"), str(NoteKey("ci", P256Sealer().public.der, ECDSA))])
    report = verify(ExportFolder(folder), ring.origin, strangers.trust, ring.log_keys, now=audit.START)
    assert {problem.code for problem in report.problems} == {"audit.wrong_key"}


def test_a_verifier_key_reads_back_and_a_log_never_has_one(sealer: P256Sealer) -> None:
    key = NoteKey("ci", sealer.public.der, ECDSA)
    assert NoteKey.parse(str(key)) == key
    assert str(key).split("+")[1] == sealer.keyid[:8]
    with pytest.raises(UsageError, match="a log's key is Ed25519"):
        read_keyring([str(NoteKey("lockstep/staging", sealer.public.der, ECDSA))])
    with pytest.raises(UsageError, match="no P-256 public key"):
        log = NoteKey("lockstep/staging", Signer.generate().public_raw)
        _ = read_keyring([str(log), str(NoteKey("ci", b"\x00" * 91, ECDSA))]).trust
