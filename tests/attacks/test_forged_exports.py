"""Any change to an export: verification reports it or refuses it, and never ends in anything else.

Seeded, so that a failure can be had again; what was done stands in the message.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from lockstep.audit.export import ExportFolder, export
from lockstep.audit.layout import record_key
from lockstep.canonical import canonical
from lockstep.errors import LockstepError
from tests.conftest import Soak
from tests.support.forged import Forged, flip

ROUNDS = 12
MATTERS = ("key", "version_id", "is_latest", "delete_marker", "mode", "retain_until")


@pytest.fixture(scope="module")
def original(genuine: Forged, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "original"
    export(genuine.bucket, folder, genuine.log.head(), [genuine.key], {})
    return folder


def answer(forged: Forged, folder: Path) -> str:
    """`ok`, or the codes of what is wrong. Anything but a report or an error of ours fails the test."""
    try:
        report = forged.verify(ExportFolder(folder), head=forged.log.head())
    except LockstepError as error:
        assert error.code and error.remedy
        return error.code
    assert all(problem.code.startswith("audit.") for problem in report.problems)
    return "ok" if report.ok else ",".join(sorted({problem.code for problem in report.problems}))


def objects(folder: Path) -> list[Path]:
    """The files of records, heads and tiles."""
    return sorted(
        path for top in ("record", "head", "tile") for path in (folder / top).rglob("*") if path.is_file()
    )


def flipped(folder: Path, rng: random.Random) -> str:
    path = rng.choice(objects(folder))
    data = path.read_bytes()
    at, bit = rng.randrange(len(data)), 1 << rng.randrange(8)
    path.write_bytes(data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :])
    return f"bit {bit} of byte {at} of {path.name}"


def truncated(folder: Path, rng: random.Random) -> str:
    path = rng.choice(objects(folder))
    data = path.read_bytes()
    size = rng.randrange(len(data))
    path.write_bytes(data[:size])
    return f"{path.name} cut to {size}"


def lengthened(folder: Path, rng: random.Random) -> str:
    path = rng.choice(objects(folder))
    path.write_bytes(path.read_bytes() + rng.randbytes(rng.randrange(1, 100)))
    return f"more behind {path.name}"


def swapped(folder: Path, rng: random.Random) -> str:
    one, other = rng.sample(objects(folder), 2)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    return f"{one.name} and {other.name} exchanged"


def deleted(folder: Path, rng: random.Random) -> str:
    path = rng.choice(objects(folder))
    path.unlink()
    return f"{path.name} deleted"


def replaced(folder: Path, rng: random.Random) -> str:
    path = rng.choice(objects(folder))
    kind = rng.choice(["empty", "folder", "link", "noise", "json"])
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(rng.choice(["/dev/zero", "/etc/passwd", "nowhere", "/proc/self/mem"]))
    else:
        path.write_bytes({"empty": b"", "noise": rng.randbytes(500), "json": b'{"a":1,"a":2}'}[kind])
    return f"{path.name} replaced: {kind}"


def added(folder: Path, rng: random.Random) -> str:
    name = rng.choice(["record/0000000006", "record/0000000099", "record/7", "head/0000000007", "tile/0/001"])
    path = folder / name
    path.write_bytes(rng.choice(objects(folder)).read_bytes())
    return f"{name} added"


def list_edited(folder: Path, rng: random.Random) -> str:
    """One entry of the version list changed, doubled or dropped."""
    path = folder / "versions.json"
    document = json.loads(path.read_bytes())
    items = document["versions"]
    place = rng.randrange(len(items))
    done = rng.choice(["drop", "double", "marker", "odd", "unlock", "gone"])
    if done == "drop":
        del items[place]
    elif done == "double":
        items.insert(place, dict(items[place]))
    elif done == "marker":
        items[place]["delete_marker"] = True
    elif done == "unlock":
        items[place] |= rng.choice([{"mode": None}, {"mode": "GOVERNANCE"}, {"retain_until": None}])
    elif done == "gone":
        del items[place][rng.choice(["key", "version_id", "is_latest", "delete_marker", "mode"])]
    else:
        odd = rng.choice(
            [None, 0, -1, 1.5, [], {}, "", "x", "../../x", "/etc/passwd", "\0", "ü", 2**70, True]
        )
        name = rng.choice(MATTERS)
        if items[place][name] == odd or name == "version_id":
            odd = "../other"
        items[place][name] = odd
        done = f"{name} = {odd!r}"
    path.write_bytes(json.dumps(document).encode())
    return f"version list, entry {place}: {done}"


def list_damaged(folder: Path, rng: random.Random) -> str:
    path = folder / "versions.json"
    data = path.read_bytes()
    odd = [b"", b"null", b"[]", b"{}", b'{"versions":null}', b'{"versions":[null]}', b'{"versions":{"a":1}}']
    odd += [b"[" * 10**5, b'{"versions":[1]}', data[: rng.randrange(len(data))], rng.randbytes(200)]
    path.write_bytes(rng.choice(odd))
    return "version list damaged"


HOW = [flipped, truncated, lengthened, swapped, deleted, replaced, added, list_edited, list_damaged]


How: TypeAlias = Callable[[Path, random.Random], str]


def attack(
    forged: Forged,
    original: Path,
    folder: Path,
    rng: random.Random,
    how: How,
) -> None:
    shutil.copytree(original, folder)
    what = how(folder, rng)
    said = answer(forged, folder)
    shutil.rmtree(folder)
    assert said != "ok", what


@pytest.mark.parametrize("how", HOW, ids=lambda how: how.__name__)
def test_a_changed_export_never_verifies(forged: Forged, original: Path, tmp_path: Path, how: object) -> None:
    assert callable(how)
    rng = random.Random(how.__name__)
    assert answer(forged, original) == "ok"
    for _ in range(ROUNDS):
        attack(forged, original, tmp_path / "changed", rng, how)


def test_several_changes_at_once_never_verify(forged: Forged, original: Path, tmp_path: Path) -> None:
    rng = random.Random(7)
    for _ in range(ROUNDS):

        def several(folder: Path, rng: random.Random) -> str:
            return "; ".join(how(folder, rng) for how in rng.sample(HOW[:4] + HOW[6:8], 3))

        attack(forged, original, tmp_path / "changed", rng, several)


@pytest.mark.soak
def test_changed_exports_many_times(forged: Forged, original: Path, tmp_path: Path, soak: Soak) -> None:
    for _ in range(soak.rounds * 50):
        attack(forged, original, tmp_path / "changed", soak.rng, soak.rng.choice(HOW))
    soak.tally(f"exports: {soak.rounds * 50} changes, none verifies")


def test_every_byte_of_a_record_counts(forged: Forged) -> None:
    leaf = forged.bucket.get(record_key(2))
    for at in range(0, len(leaf), 61):
        forged.bucket.overwrite(record_key(2), flip(leaf, at))
        report = forged.verify()
        assert [(one.code, one.index) for one in report.problems] == [("audit.changed_byte", 2)], at


def test_a_version_list_cannot_point_outside(forged: Forged, original: Path, tmp_path: Path) -> None:
    """Neither as a key nor as a version."""
    (tmp_path / "secret").write_bytes(forged.bucket.get(record_key(2)))
    for change in (
        {"key": "../secret"},
        {"key": str(tmp_path / "secret")},
        {"version_id": "../../../../secret", "is_latest": False},
        {"version_id": str(tmp_path / "secret"), "is_latest": False},
    ):
        folder = tmp_path / "changed"
        shutil.copytree(original, folder)
        path = folder / "versions.json"
        document = json.loads(path.read_bytes())
        entry = next(one for one in document["versions"] if one["key"] == record_key(2))
        (folder / record_key(2)).unlink()
        entry |= change
        path.write_bytes(canonical(document))
        assert answer(forged, folder) != "ok", change
        shutil.rmtree(folder)
