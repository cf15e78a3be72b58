"""Records that were dated back, by whoever holds the keys; and writers whose clock is wrong."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lockstep.audit.bucket import to_text
from lockstep.audit.layout import record_key
from lockstep.errors import LockstepError
from tests.support.audit import START, codes
from tests.support.forged import Forged, die_after_record, replaced_record, signed


def at(seconds: float) -> str:
    return to_text(START + timedelta(seconds=seconds))


def test_a_record_dated_back(forged: Forged) -> None:
    replaced_record(forged, 5, signed(forged, 5, time=at(4.5)))
    report = forged.only("audit.dated_back", index=5, key=record_key(5))
    assert "record 4" in report.problems[0].message


def test_every_record_behind_one_of_the_future_is_named(forged: Forged) -> None:
    replaced_record(forged, 2, signed(forged, 2, time=at(5.5)))
    report = forged.verify()
    assert [(one.code, one.index) for one in report.problems] == [
        ("audit.dated_back", 3),
        ("audit.dated_back", 4),
    ]


def test_two_records_of_one_moment_are_in_order(forged: Forged) -> None:
    replaced_record(forged, 5, signed(forged, 5, time=at(5)))
    assert forged.verify().ok


def test_a_record_beyond_the_head_is_dated_too(forged: Forged) -> None:
    forged.ticks -= 2
    die_after_record(forged)
    report = forged.verify()
    assert (codes(report), [one.index for one in report.problems]) == (["audit.dated_back"], [6])


@pytest.mark.parametrize("behind", [timedelta(microseconds=1), timedelta(days=400)])
@pytest.mark.parametrize("fresh", [False, True])
def test_a_writer_whose_clock_is_behind_the_newest_record_writes_nothing(
    forged: Forged, behind: timedelta, fresh: bool
) -> None:
    """Whether it wrote that record itself or found it there."""
    log = forged.open() if fresh else forged.log
    before = set(forged.bucket.objects)
    fields = {**forged.log.read(5).fields}
    with pytest.raises(LockstepError) as refused:
        log.append(fields, expect_size=6, now=forged.now - behind, retention=timedelta(days=1))
    assert refused.value.code == "audit.clock_behind"
    assert f"{behind.total_seconds():.3f} s" in refused.value.remedy
    assert set(forged.bucket.objects) == before


def test_a_writer_of_the_same_moment_may_write(forged: Forged) -> None:
    forged.ticks -= 1
    forged.note()
    assert forged.verify().ok


def test_what_the_bucket_says_about_the_time_is_a_note(forged: Forged) -> None:
    """A restore from a backup changes it, and on one's own disk anybody can: proof it is not."""
    for index, hours in ((2, 3), (4, -3)):
        forged.bucket.objects[record_key(index)][0].written = START + timedelta(hours=hours)
    report = forged.verify()
    assert report.ok
    assert [(one.code, one.index) for one in report.notes] == [("audit.written_apart", 2)]
    assert "2 records" in report.notes[0].message
