"""Tree, tiles and heads against vectors made with Go's sumdb/tlog and sumdb/note."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lockstep.audit import layout, note
from lockstep.audit.merkle import Tiles, leaf_hash, root_from_path
from lockstep.audit.note import NoteKey
from lockstep.audit.recompute import Recomputed
from lockstep.errors import IntegrityError

ORACLE: dict[str, Any] = json.loads((Path(__file__).parent / "audit_oracle.json").read_text())
LEAVES = [b"record %d" % i for i in range(600)]


def grown() -> tuple[dict[int, str], dict[str, bytes]]:
    tree, roots, tiles = Recomputed(), {}, {}
    for leaf in LEAVES:
        tiles |= dict(tree.add(leaf_hash(leaf)))
        roots[tree.size] = tree.root().hex()
    return roots, tiles


ROOTS, TILES = grown()


def test_recomputed_roots_are_those_of_the_oracle() -> None:
    assert {size: ROOTS[int(size)] for size in ORACLE["roots"]} == ORACLE["roots"]


def test_tiles_have_the_names_and_bytes_of_the_oracle() -> None:
    ours = {key.removeprefix("tile/"): hashlib.sha256(data).hexdigest() for key, data in TILES.items()}
    assert {path: ours.get(path) for path in ORACLE["tiles"]} == ORACLE["tiles"]


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 513, 600])
def test_tiles_give_the_root(size: int) -> None:
    assert Tiles(size, TILES.__getitem__).root().hex() == ROOTS[size]


@pytest.mark.parametrize("proof", ORACLE["proofs"], ids=lambda one: f"{one['index']}of{one['size']}")
def test_inclusion_proofs_are_those_of_the_oracle(proof: dict[str, Any]) -> None:
    path = Tiles(proof["size"], TILES.__getitem__).inclusion(proof["index"])
    assert [one.hex() for one in path] == proof["path"]
    leaf = leaf_hash(LEAVES[proof["index"]])
    root = root_from_path(leaf, proof["index"], proof["size"], path)
    assert root is not None and root.hex() == ROOTS[proof["size"]]


def test_a_path_for_another_leaf_gives_another_root() -> None:
    path = Tiles(600, TILES.__getitem__).inclusion(17)
    root = root_from_path(leaf_hash(LEAVES[18]), 17, 600, path)
    assert root is not None and root.hex() != ROOTS[600]
    assert root_from_path(leaf_hash(LEAVES[17]), 17, 600, path[:-1]) is None
    assert root_from_path(leaf_hash(LEAVES[17]), 17, 600, [*path, path[0]]) is None
    assert root_from_path(leaf_hash(LEAVES[17]), 600, 600, path) is None


def test_the_written_tiles_are_those_that_changed() -> None:
    for size in (1, 2, 255, 256, 257, 512, 513):
        written = {layout.tile_key(*tile) for tile in layout.tiles_of(size)}
        before = Recomputed()
        gained: list[tuple[str, bytes]] = []
        for leaf in LEAVES[:size]:
            gained = before.add(leaf_hash(leaf))
        assert {key for key, _ in gained} == written


def test_a_tile_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(IntegrityError) as refused:
        Tiles(600, lambda key: TILES[key][:-1]).root()
    assert refused.value.code == "audit.tile_wrong"


@pytest.mark.parametrize(
    ("index", "path"),
    [(0, "000"), (999, "999"), (1000, "x001/000"), (1234067, "x001/x234/067")],
)
def test_tile_names_follow_the_specification(index: int, path: str) -> None:
    assert layout.tile_key(0, index, 256) == f"tile/0/{path}"
    assert layout.tile_of(f"tile/0/{path}") == (0, index, 256)
    assert layout.tile_of(f"tile/0/{path}.p/7") == (0, index, 7)


@pytest.mark.parametrize(
    "key",
    ["tile/0/x000/001", "tile/00/001", "tile/0/1", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/300"],
)
def test_a_tile_has_one_name(key: str) -> None:
    assert layout.tile_of(key) is None


@pytest.mark.parametrize(
    "key", ["record/7", "record/00000000007", "record/000000007%30", "record/ 000000007"]
)
def test_a_record_has_one_name(key: str) -> None:
    assert layout.number_of(key) is None
    assert layout.number_of("record/0000000007") == 7


GOOD = ORACLE["note"]
KEY = NoteKey.parse(GOOD["verifier"])


def test_the_verifier_key_reads_and_writes_as_the_oracle_does() -> None:
    private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(GOOD["seed"]))
    assert str(NoteKey("lockstep/local", private.public_key().public_bytes_raw())) == GOOD["verifier"]
    assert str(KEY) == GOOD["verifier"]


def test_a_head_is_byte_for_byte_that_of_the_oracle() -> None:
    private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(GOOD["seed"]))
    signed = note.sign("lockstep/local", 6, bytes.fromhex(GOOD["root"]), KEY, private.sign)
    assert signed.decode() == GOOD["signed"]
    head = note.open_note(signed, [KEY], "lockstep/local")
    assert (head.size, head.root) == (6, GOOD["root"])


def change(old: str, new: str) -> bytes:
    assert old in GOOD["signed"]
    return str(GOOD["signed"]).replace(old, new, 1).encode()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (change("\n6\n", "\n7\n"), "audit.head_signature"),
        (change("\n6\n", "\n06\n"), "audit.head_malformed"),
        (change("\n6\n", "\n+6\n"), "audit.head_malformed"),
        (change("\n6\n", "\n9223372036854775807\n"), "audit.head_malformed"),
        (change("\n6\n", "\n0\n"), "audit.head_malformed"),
        (change("lockstep/local\n", "lockstep/prod\n"), "audit.wrong_origin"),
        (GOOD["signed"].encode()[:-1], "audit.head_malformed"),
        (change("gvXH", "!!!!"), "audit.head_malformed"),
        (change("kCY=", "kCZ="), "audit.head_malformed"),
        (change("— lockstep/local", "— lockstep/other"), "audit.wrong_key"),
        (change("— ", "- "), "audit.head_malformed"),
        (change("F5mRgoDl", "F5mRgoDm"), "audit.head_signature"),
        (b"", "audit.head_malformed"),
        (b"\xff\xfe", "audit.head_malformed"),
        (b"x" * 5000, "audit.head_malformed"),
        (change("\n\n", "\nmore\n\n"), "audit.head_malformed"),
    ],
)
def test_a_changed_head_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(IntegrityError) as refused:
        note.open_note(data, [KEY], "lockstep/local")
    assert refused.value.code == code
    assert refused.value.remedy


def test_a_head_of_an_unknown_key_is_refused() -> None:
    stranger = NoteKey("lockstep/local", Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    with pytest.raises(IntegrityError) as refused:
        note.open_note(GOOD["signed"].encode(), [stranger], "lockstep/local")
    assert refused.value.code == "audit.wrong_key"


@pytest.mark.parametrize(
    "text", ["", "a+b", "lockstep/local+00000000+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs"]
)
def test_a_malformed_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(IntegrityError) as refused:
        NoteKey.parse(text)
    assert refused.value.code == "audit.bad_key"
