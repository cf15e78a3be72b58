"""Tree, tiles, state and heads for any log: the recursive definition is the oracle."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.audit import layout, note
from lockstep.audit.drafts import draft_intent, draft_outcome, draft_retry, draft_rollback
from lockstep.audit.merkle import Tiles, leaf_hash, root_from_path
from lockstep.audit.note import NoteKey
from lockstep.audit.recompute import Recomputed
from lockstep.audit.s3xml import version_page
from lockstep.audit.state import fold
from lockstep.errors import IntegrityError, LockstepError
from lockstep.table import Table
from tests.support.audit import BETTER, PLAIN, WHO, Writer, cell, decision
from tests.support.memory import MemoryBucket


def definition(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + definition(leaves[:k]) + definition(leaves[k:])).digest()


@functools.cache
def log_of(size: int) -> tuple[bytes, dict[str, bytes]]:
    tree, tiles = Recomputed(), {}
    for number in range(size):
        tiles |= dict(tree.add(leaf_hash(b"%d" % number)))
    return tree.root(), tiles


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 700))
def test_the_root_is_that_of_the_definition(size: int) -> None:
    root, tiles = log_of(size)
    assert root == definition([b"%d" % number for number in range(size)])
    assert Tiles(size, tiles.__getitem__).root() == root


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 700), st.data())
def test_every_leaf_is_proven_and_no_other(size: int, data: st.DataObject) -> None:
    root, tiles = log_of(size)
    index = data.draw(st.integers(0, size - 1))
    path = Tiles(size, tiles.__getitem__).inclusion(index)
    assert root_from_path(leaf_hash(b"%d" % index), index, size, path) == root
    assert root_from_path(leaf_hash(b"other"), index, size, path) != root
    wrong = data.draw(st.integers(0, size - 1))
    if wrong != index:
        assert root_from_path(leaf_hash(b"%d" % index), wrong, size, path) != root


@given(st.integers(0, 9), st.integers(0, 10**9), st.integers(1, 256))
def test_a_tile_name_reads_back(level: int, index: int, width: int) -> None:
    assert layout.tile_of(layout.tile_key(level, index, width)) == (level, index, width)


@given(st.integers(0, layout.MAX_SIZE))
def test_a_number_has_one_key(number: int) -> None:
    assert layout.number_of(layout.record_key(number)) == number
    assert layout.number_of(layout.head_key(number)) == number


@given(st.text(max_size=40))
def test_no_other_text_is_a_key(text: str) -> None:
    number, tile = layout.number_of(text), layout.tile_of(text)
    if number is not None:
        assert text in (layout.record_key(number), layout.head_key(number))
    if tile is not None:
        assert text == layout.tile_key(*tile)


KEY = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
NOTE_KEY = NoteKey("lockstep/local", KEY.public_key().public_bytes_raw())


@given(st.integers(1, layout.MAX_SIZE), st.binary(min_size=32, max_size=32))
def test_a_head_reads_back(size: int, root: bytes) -> None:
    head = note.open_note(
        note.sign("lockstep/local", size, root, NOTE_KEY, KEY.sign), [NOTE_KEY], "lockstep/local"
    )
    assert (head.size, head.root) == (size, root.hex())


@given(st.integers(1, 1000), st.integers(0, 10_000), st.integers(0, 7))
def test_no_changed_bit_of_a_head_is_taken(size: int, place: int, bit: int) -> None:
    good = note.sign("lockstep/local", size, b"\x05" * 32, NOTE_KEY, KEY.sign)
    changed = bytearray(good)
    changed[place % len(good)] ^= 1 << bit
    try:
        head = note.open_note(bytes(changed), [NOTE_KEY], "lockstep/local")
    except IntegrityError:
        return
    raise AssertionError(f"taken: {head}")


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_readers(data: bytes) -> None:
    for read in (lambda: note.open_note(data, [NOTE_KEY], "lockstep/local"), lambda: version_page(data)):
        try:
            read()
        except LockstepError as error:
            assert error.code.startswith("audit.") and error.remedy


CELLS = st.sampled_from(
    [
        cell(PLAIN),
        cell(PLAIN, BETTER),
        cell(PLAIN, BETTER, 5),
        cell(PLAIN, BETTER, 100),
        cell(None, BETTER, 100),
        {"withdraw": PLAIN},
        None,
    ]
)
TABLES = st.fixed_dictionaries({"local-a": CELLS, "local-b": CELLS}).map(
    lambda regions: (
        {"digits": {name: one for name, one in regions.items() if one}} if any(regions.values()) else {}
    )
)
MARKS = st.dictionaries(st.sampled_from(["local-a", "local-b"]), st.sampled_from([PLAIN, BETTER])).map(
    lambda regions: {"digits": regions} if regions else {}
)
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["step", "stand", "withdraw", "rollback"]),
            TABLES,
            MARKS,
            st.sampled_from(["complete", "interrupted", "failed"]),
            TABLES,
        ),
        st.tuples(st.sampled_from(["roll", "retry", "note"]), st.sampled_from([PLAIN, BETTER]), TABLES),
    ),
    max_size=7,
)


def perform(writer: Writer, made: tuple[Any, ...]) -> None:
    state = writer.log.state()
    if made[0] == "roll":
        writer.append(draft_rollback(state, digest=made[1], target=made[2], reason="r", claimed=WHO))
    elif made[0] == "retry":
        writer.append(draft_retry(state, digest=made[1], reason="r", claimed=WHO))
    elif made[0] == "note":
        writer.note()
    else:
        change, to, marked, result, live = made
        intent = writer.append(
            draft_intent(
                claimed=WHO, from_=state.table, to=to, change=change, decision=decision(), marked=marked
            )
        )
        found: Table = to if result == "complete" else live
        outcome = draft_outcome(writer.log.state(), intent, live=found, ready={}, result=result, claimed=WHO)
        writer.append(outcome)


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_the_newest_outcome_says_what_the_whole_log_says(steps: list[tuple[Any, ...]]) -> None:
    writer = Writer(MemoryBucket())
    for made in steps:
        perform(writer, made)
    reader = writer.open()
    assert reader.state() == fold(reader.tail(0))
    report = writer.verify(head=reader.head())
    assert report.ok, report.problems


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_the_state_keeps_its_promises(steps: list[tuple[Any, ...]]) -> None:
    writer = Writer(MemoryBucket())
    for made in steps:
        perform(writer, made)
        state = writer.log.state()
        assert list(state.barred) == sorted(set(state.barred))
        assert set(state.cell_intent.get("digits", {})) == set(state.table.get("digits", {}))
        for region, former in state.former.get("digits", {}).items():
            assert former in state.table["digits"][region].values() and former not in state.barred
        for region in state.promotion.get("digits", {}):
            assert state.known("digits", region)
