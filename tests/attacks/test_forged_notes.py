"""Heads whose text is not in the one form that a checkpoint has, each with a good signature of the log's key.

So nothing but the form can be what is refused: https://c2sp.org/tlog-checkpoint, https://c2sp.org/signed-note.
"""

from __future__ import annotations

import base64

import pytest

from lockstep.audit import note
from lockstep.audit.layout import head_key
from lockstep.audit.merkle import EMPTY_ROOT
from lockstep.audit.note import NoteKey
from lockstep.errors import IntegrityError
from lockstep.evidence.keys import Signer
from tests.support.audit import ORIGIN, note_key
from tests.support.forged import Forged

ROOT = base64.b64encode(b"\x11" * 32).decode()


def line(name: str, key: NoteKey, signature: bytes) -> str:
    return f"— {name} {base64.b64encode(key.key_hash + signature).decode()}\n"


def over(text: str, forged: Forged) -> bytes:
    """The text as a note, signed by the log's own key."""
    signed = forged.log_signer.sign_bytes(text.encode())
    return f"{text}\n{line(ORIGIN, forged.key, signed)}".encode()


@pytest.mark.parametrize(
    "text",
    [
        f"{ORIGIN}\n06\n{ROOT}\n",
        f"{ORIGIN}\n+6\n{ROOT}\n",
        f"{ORIGIN}\n-6\n{ROOT}\n",
        f"{ORIGIN}\n6.0\n{ROOT}\n",
        f"{ORIGIN}\n 6\n{ROOT}\n",
        f"{ORIGIN}\n0x6\n{ROOT}\n",
        f"{ORIGIN}\n٦\n{ROOT}\n",
        f"{ORIGIN}\n\n{ROOT}\n",
        f"{ORIGIN}\n0\n{ROOT}\n",
        f"{ORIGIN}\n{2**63 - 1}\n{ROOT}\n",
        f"{ORIGIN}\n{2**64}\n{ROOT}\n",
        f"{ORIGIN}\n6\n{ROOT}\nextension\n",
        f"{ORIGIN}\n6\n{ROOT} \n",
        f"{ORIGIN}\n6\n{ROOT}\r\n",
        f"{ORIGIN}\r\n6\r\n{ROOT}\r\n",
        f"{ORIGIN}\t\n6\n{ROOT}\n",
        f"{ORIGIN}\0\n6\n{ROOT}\n",
        f"\n6\n{ROOT}\n",
        f"6\n{ROOT}\n",
        f"{ORIGIN}\n6\n",
        f"{ORIGIN}\n6\n{ROOT[:-4]}\n",
        f"{ORIGIN}\n6\n{ROOT[:-1]}\n",
        f"{ORIGIN}\n6\n{ROOT[:-2]}F=\n",
        f"{ORIGIN}\n6\n{ROOT}====\n",
        f"{ORIGIN}\n6\n{'1' * 64}\n",
        f"{ORIGIN}\n6\n{ROOT.replace('E', '_')}\n",
    ],
)
def test_a_head_in_another_form(forged: Forged, text: str) -> None:
    with pytest.raises(IntegrityError) as refused:
        note.open_note(over(text, forged), [forged.key], ORIGIN)
    assert refused.value.code == "audit.head_malformed"
    assert refused.value.remedy
    forged.bucket.overwrite(head_key(6), over(text, forged))
    forged.only("audit.head_malformed", key=head_key(6))


def good(forged: Forged) -> str:
    return forged.bucket.get(head_key(6)).decode()


def test_the_root_of_no_records_is_that_of_nothing(forged: Forged) -> None:
    empty = over(f"{ORIGIN}\n0\n{base64.b64encode(EMPTY_ROOT).decode()}\n", forged)
    assert note.open_note(empty, [forged.key], ORIGIN).size == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1],
        lambda text: text + "\n",
        lambda text: text + "trailing",
        lambda text: text + "trailing\n",
        lambda text: text + "— \n",
        lambda text: text + f"— {ORIGIN} \n",
        lambda text: text + "— a+b AAAAAAA=\n",
        lambda text: text + "—  AAAAAAA=\n",
        lambda text: text.replace("\n\n", "\n"),
        lambda text: text.replace("— ", "- "),
        lambda text: text.replace("— ", "—  "),
        lambda text: text.replace("\n\n", "\n\n\n"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text[: text.index("—")],
        lambda text: "\ufeff" + text,
        lambda text: text + "— other " + "A" * 4000 + "\n",
    ],
)
def test_a_note_in_another_form(forged: Forged, change: object) -> None:
    assert callable(change)
    with pytest.raises(IntegrityError) as refused:
        note.open_note(change(good(forged)).encode(), [forged.key], ORIGIN)
    assert refused.value.code in ("audit.head_malformed", "audit.wrong_origin")


def test_a_signature_in_base64_that_is_spelled_otherwise(forged: Forged) -> None:
    text = good(forged)
    last = text.rstrip("\n")[-2]  # 68 bytes: one = at the end, two unused bits before it
    other = text.replace(f"{last}=\n", f"{chr(ord(last) + 1)}=\n")
    assert other != text
    with pytest.raises(IntegrityError) as refused:
        note.open_note(other.encode(), [forged.key], ORIGIN)
    assert refused.value.code == "audit.head_malformed"


def test_one_key_signs_once(forged: Forged) -> None:
    """Two lines of one key are one witness, whatever the order and whether or not the second is good."""
    text = good(forged)
    own = text[text.index("—") :]
    for second in (own, line(ORIGIN, forged.key, b"\0" * 64)):
        for data in (text + second, text.replace(own, second + own)):
            with pytest.raises(IntegrityError) as refused:
                note.open_note(data.encode(), [forged.key], ORIGIN)
            assert refused.value.code in ("audit.head_malformed", "audit.head_signature")


def test_a_signature_under_another_name_does_not_count(forged: Forged) -> None:
    """The name is part of what a key hash is over: under a second name a signature is nobody's."""
    signed, own = good(forged).split("— ")
    raw = base64.b64decode(own.split(" ")[1])[4:]
    renamed = NoteKey("lockstep/witness", forged.key.public)
    for data in (
        signed + line("lockstep/witness", forged.key, raw),
        signed + line("lockstep/witness", renamed, raw),
        signed + line(ORIGIN, renamed, raw),
    ):
        with pytest.raises(IntegrityError) as refused:
            note.open_note(data.encode(), [forged.key], ORIGIN)
        assert refused.value.code == "audit.wrong_key"


def test_a_strangers_signature_does_no_harm_and_counts_for_nothing(forged: Forged) -> None:
    stranger = Signer.generate()
    signed = good(forged)
    body = signed[: signed.index("\n\n") + 1].encode()
    theirs = line("witness", note_key(stranger, "witness"), stranger.sign_bytes(body))
    beside = (signed + theirs).encode()
    assert note.open_note(beside, [forged.key], ORIGIN).size == 6
    forged.bucket.overwrite(head_key(6), beside)
    assert forged.verify().ok
    alone = (signed[: signed.index("—")] + theirs).encode()
    with pytest.raises(IntegrityError) as refused:
        note.open_note(alone, [forged.key], ORIGIN)
    assert refused.value.code == "audit.wrong_key"


def test_an_empty_signature(forged: Forged) -> None:
    text = good(forged)
    for raw in (b"", b"\0" * 63, b"\0" * 65):
        empty = text[: text.index("—")] + line(ORIGIN, forged.key, raw)
        with pytest.raises(IntegrityError) as refused:
            note.open_note(empty.encode(), [forged.key], ORIGIN)
        assert refused.value.code in ("audit.head_malformed", "audit.head_signature")
