"""Two names for one place. A number has one name in the bucket; whatever else looks like it is foreign."""

from __future__ import annotations

import pytest

from lockstep.audit.layout import head_key, number_of, record_key, tile_key, tile_of
from tests.support.audit import RETENTION
from tests.support.forged import Forged

ELEVEN = "00000000003"
ANOTHER = [
    "record/3",
    "record/0003",
    "record/000000003",
    f"record/{ELEVEN}",
    "record/+000000003",
    "record/-000000003",
    "record/ 000000003",
    "record/000000003 ",
    "record/000000000%33",
    "record/%30000000003",
    "record/%25300000000",
    "record%2F0000000003",
    "record/0000000003/",
    "record//0000000003",
    "record/./0000000003",
    "record/0000000003.",
    "record/0x00000003",
    "record/00000000e0",
    "record/0_00000003",
    "record/\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0663",
    "record/\uff10\uff10\uff10\uff10\uff10\uff10\uff10\uff10\uff10\uff13",
    "record/000000000\u00b3",
    "record/0000000003\n",
    "record/0000000003\0",
    "Record/0000000003",
    "RECORD/0000000003",
    "records/0000000003",
    "/record/0000000003",
    " record/0000000003",
    "record/9223372036854775807",
    "record/18446744073709551616",
    "head/3",
    "head/0003",
    f"head/{ELEVEN}",
    "Head/0000000003",
    "head/0000000003/",
    "head/000000000%33",
    "head/9223372036854775807",
    "tile/0/0.p/3",
    "tile/00/000.p/3",
    "tile/0/000.p/03",
    "tile/0/000.P/3",
    "tile/0/x000/000.p/3",
    "tile/0/000.p/3/",
    "tile/0/%30%30%30.p/3",
    "tile/0/000.p/\u0663",
    "checkpoint",
]


@pytest.mark.parametrize("key", ANOTHER, ids=ascii)
def test_another_name_for_a_place(forged: Forged, key: str) -> None:
    """With the very bytes that lie under the one name."""
    assert number_of(key) is None and tile_of(key) is None
    for genuine in (record_key(3), head_key(3), tile_key(0, 0, 3)):
        copy = forged.bucket.copy()
        copy.put_new(key, copy.get(genuine), forged.now + RETENTION)
        report = forged.verify(copy)
        assert [(one.code, one.key) for one in report.problems] == [("audit.foreign_object", key)]


@pytest.mark.parametrize("key", ANOTHER, ids=ascii)
def test_a_record_under_another_name_alone_is_gone(forged: Forged, key: str) -> None:
    leaf = forged.bucket.get(record_key(3))
    forged.bucket.remove(record_key(3))
    forged.bucket.put_new(key, leaf, forged.now + RETENTION)
    found = {(one.code, one.key) for one in forged.verify().problems}
    assert found == {("audit.foreign_object", key), ("audit.record_missing", record_key(3))}


@pytest.mark.parametrize("number", [0, 7, 10, 9_999_999_999])
def test_every_place_has_a_name_and_the_name_the_place(number: int) -> None:
    assert number_of(record_key(number)) == number_of(head_key(number)) == number
