"""Keys, people and roles; envelopes held against securesystemslib, PEM against cryptography."""

from __future__ import annotations

import base64
import json
import multiprocessing
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner, SSlibKey

from lockstep.errors import IntegrityError, LockstepError, UsageError
from lockstep.evidence import dsse, pem
from lockstep.evidence.keys import ROLES, Signer, Trust, load_trust
from lockstep.paths import Paths
from tests.support import releases

TYPE = "application/vnd.in-toto+json"


@pytest.fixture
def keys(tmp_path: Path) -> releases.Keys:
    return releases.local_keys(tmp_path)


def code_of(caught: pytest.ExceptionInfo[LockstepError]) -> str:
    return caught.value.code


def test_each_role_has_its_own_person_and_key(keys: releases.Keys) -> None:
    assert set(keys.trust.people) == {f"local-{role}" for role in ROLES}
    for role in ROLES:
        signed = keys.trust.verify(keys.signer(role).sign(TYPE, b"said"), TYPE, role)
        assert (signed.person, signed.payload) == (f"local-{role}", b"said")
        assert signed.keyid == keys.signer(role).keyid
        assert set(keys.trust.keys_of(role)) == {signed.keyid}


def test_private_keys_and_the_trust_file_are_the_owners_alone(keys: releases.Keys) -> None:
    for path in (*(keys.paths.keys / f"{role}.pem" for role in ROLES), keys.paths.local_trust):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "PRIVATE" not in repr(keys.signer("log"))


def test_making_keys_again_keeps_them(keys: releases.Keys) -> None:
    before = {path.name: path.read_bytes() for path in keys.paths.keys.glob("*.pem")}
    trust = keys.paths.local_trust.read_bytes()
    keys.paths.local_trust.unlink()
    (keys.paths.keys / ".approver.pem.new").write_bytes(b"left by a kill")
    releases.local_keys(keys.paths.root)
    assert {path.name: path.read_bytes() for path in keys.paths.keys.glob("*.pem")} == before
    assert keys.paths.local_trust.read_bytes() == trust


def test_keys_made_by_several_processes_at_once_are_one_set(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=releases.local_keys, args=(tmp_path,)) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 4
    keys = releases.local_keys(tmp_path)
    for role in ROLES:
        keys.trust.verify(keys.signer(role).sign(TYPE, b""), TYPE, role)


def test_the_other_role_is_refused(keys: releases.Keys) -> None:
    with pytest.raises(IntegrityError, match=r"local-deployer.*not a builder") as caught:
        keys.trust.verify(keys.signer("deployer").sign(TYPE, b"x"), TYPE, "builder")
    assert code_of(caught) == "evidence.wrong_role"


def test_a_strangers_key_another_type_and_a_changed_payload_are_refused(keys: releases.Keys) -> None:
    good = keys.signer("builder").sign(TYPE, b"x")
    cases = {
        "evidence.unknown_key": Signer.generate().sign(TYPE, b"x"),
        "evidence.wrong_type": keys.signer("builder").sign("text/plain", b"x"),
        "evidence.bad_signature": {**good, "payload": base64.b64encode(b"y").decode()},
    }
    for code, envelope in cases.items():
        with pytest.raises(IntegrityError) as caught:
            keys.trust.verify(envelope, TYPE, "builder")
        assert code_of(caught) == code
        assert caught.value.remedy


def test_a_broken_signature_is_not_outweighed_by_a_good_one(keys: releases.Keys) -> None:
    envelope = keys.signer("builder").sign(TYPE, b"x")
    envelope["signatures"] += keys.signer("approver").sign(TYPE, b"y")["signatures"]
    with pytest.raises(IntegrityError, match=r"evidence\.bad_signature"):
        keys.trust.verify(envelope, TYPE, "builder")


def test_a_strangers_signature_beside_a_good_one_does_no_harm(keys: releases.Keys) -> None:
    envelope = keys.signer("builder").sign(TYPE, b"x")
    envelope["signatures"].insert(0, Signer.generate().sign(TYPE, b"x")["signatures"][0])
    assert keys.trust.verify(envelope, TYPE, "builder").person == "local-builder"


def _good() -> dict[str, Any]:
    return Signer.generate().sign(TYPE, b"payload")


def _signature(**changes: object) -> dict[str, Any]:
    envelope = _good()
    return {**envelope, "signatures": [{**envelope["signatures"][0], **changes}]}


@pytest.mark.parametrize(
    "envelope",
    [
        None,
        [],
        {},
        {**_good(), "more": 1},
        {**_good(), "payload": 1},
        {**_good(), "payload": "?"},
        {**_good(), "payload": "eA"},
        {**_good(), "payload": "eB=="},  # another spelling of the same byte
        {**_good(), "payloadType": None},
        {**_good(), "signatures": []},
        {**_good(), "signatures": {}},
        {**_good(), "signatures": [1]},
        {**_good(), "signatures": _good()["signatures"] + [_good()["signatures"][0]] * 2},
        _signature(keyid="00"),
        _signature(keyid=None),
        _signature(sig="AAAA"),
        _signature(extra=1),
    ],
)
def test_an_envelope_of_another_form_is_malformed(envelope: object) -> None:
    with pytest.raises(IntegrityError, match=r"evidence\.malformed"):
        dsse.parse(envelope)


def test_our_envelopes_verify_with_securesystemslib_and_theirs_with_ours(keys: releases.Keys) -> None:
    mine = keys.signer("builder")
    private = serialization.load_pem_private_key((keys.paths.keys / "builder.pem").read_bytes(), None)
    assert isinstance(private, Ed25519PrivateKey)
    public = SSlibKey.from_crypto(private.public_key(), mine.keyid)
    Envelope.from_dict(json.loads(json.dumps(mine.sign(TYPE, "é".encode())))).verify([public], 1)
    theirs = Envelope(b"said", TYPE, {})
    theirs.sign(CryptoSigner(private, public))
    assert theirs.to_dict() == mine.sign(TYPE, b"said")
    assert keys.trust.verify(theirs.to_dict(), TYPE, "builder").payload == b"said"


def test_our_pem_is_cryptographys_pem() -> None:
    key = Ed25519PrivateKey.generate()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    assert pem.private_pem(key).encode() == key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    assert pem.public_pem(key.public_key()).encode() == key.public_key().public_bytes(
        serialization.Encoding.PEM, form
    )
    assert pem.public_der(key.public_key()) == key.public_key().public_bytes(serialization.Encoding.DER, form)
    assert pem.read_private(pem.private_pem(key)).private_bytes_raw() == key.private_bytes_raw()
    again = pem.read_public(pem.public_pem(key.public_key()))
    assert isinstance(again, Ed25519PublicKey)
    assert again.public_bytes_raw() == key.public_key().public_bytes_raw()


def _another_kind_of_key() -> bytes:
    return generate_private_key(SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize("data", [b"", b"\xff", b"no key", _another_kind_of_key()])
def test_a_file_that_is_no_key_is_refused_and_kept(keys: releases.Keys, data: bytes) -> None:
    path = keys.paths.keys / "builder.pem"
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"builder\.pem.*keys\.malformed"):
        releases.local_keys(keys.paths.root)
    assert path.read_bytes() == data


def test_what_is_missing_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    for ask in (lambda: Signer.load(tmp_path / "log.pem"), lambda: load_trust(tmp_path, "local")):
        with pytest.raises(UsageError) as caught:
            ask()
        assert (code_of(caught), caught.value.remedy) == ("keys.missing", "./lockstep env")


def _roles(paths: Paths, value: object) -> Path:
    (paths.policies / "data" / "roles.json").write_text(json.dumps(value))
    return paths.policies


@pytest.mark.parametrize("environment", ["staging", "prod"])
def test_only_local_reads_this_checkouts_keys(keys: releases.Keys, environment: str) -> None:
    policies = _roles(keys.paths, {"staging": {"people": {}}, "prod": {"people": {}}})
    trust = load_trust(policies, environment)
    assert trust.people == {}
    with pytest.raises(IntegrityError, match=r"evidence\.unknown_key"):
        trust.verify(keys.signer("builder").sign(TYPE, b"x"), TYPE, "builder")


def test_local_reads_nothing_but_its_own_file(keys: releases.Keys) -> None:
    person = {"roles": ["builder"], "keys": {}}
    policies = _roles(keys.paths, {"local": {"people": {"mallory": person}}})
    assert "mallory" not in load_trust(policies, "local").people


def test_an_unknown_environment_is_refused(keys: releases.Keys) -> None:
    with pytest.raises(UsageError, match=r"keys\.environment"):
        load_trust(_roles(keys.paths, {"prod": {"people": {}}}), "production")


def _person(signer: Signer, **changes: object) -> dict[str, object]:
    return {"roles": ["builder"], "keys": {signer.keyid: signer.public_pem}, **changes}


ONE = Signer.generate()


@pytest.mark.parametrize(
    "people",
    [
        None,
        {"a": None},
        {"a": {"roles": ["builder"]}},
        {"a": _person(ONE, roles=["boss"])},
        {"a": _person(ONE, roles="builder")},
        {"a": _person(ONE, keys=[])},
        {"a": _person(ONE, keys={"00" * 32: ONE.public_pem})},
        {"a": _person(ONE, keys={ONE.keyid: "no key"})},
        {"a": _person(ONE, keys={ONE.keyid: None})},
        {"a": _person(ONE), "b": _person(ONE)},  # one key, two people: distinctness would be counted twice
    ],
)
def test_people_that_cannot_be_read_trust_nobody(keys: releases.Keys, people: object) -> None:
    with pytest.raises(IntegrityError, match=r"keys\.malformed"):
        load_trust(_roles(keys.paths, {"prod": {"people": people}}), "prod")


def test_a_person_with_two_roles_and_two_keys(keys: releases.Keys) -> None:
    two = Signer.generate()
    person = {"roles": ["builder", "approver"], "keys": {s.keyid: s.public_pem for s in (ONE, two)}}
    trust: Trust = load_trust(_roles(keys.paths, {"prod": {"people": {"ada": person}}}), "prod")
    for signer, role in ((ONE, "builder"), (two, "approver")):
        assert trust.verify(signer.sign(TYPE, b""), TYPE, role).person == "ada"


@pytest.mark.parametrize("module", ["evidence.keys", "evidence.verified", "release.store", "release.folder"])
def test_looking_loads_nothing_heavy(module: str) -> None:
    """A preview pays for every import; these are in it."""
    heavy = {
        "torch",
        "numpy",
        "sklearn",
        "onnx",
        "onnxruntime",
        "boto3",
        "pulumi",
        "securesystemslib",
        "yaml",
    }
    code = f"import sys, lockstep.{module}; print(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
