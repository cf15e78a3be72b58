"""rollout/plan.py: which tables a wish goes through."""

from __future__ import annotations

import pytest

from lockstep.errors import UsageError
from lockstep.rollout.plan import moved, placed, rollback, withdrawn, without
from lockstep.table import Table, share

PLAIN, BETTER, THIRD = ("sha256:" + letter * 64 for letter in "abc")


def table(blue: str | None = PLAIN, green: str | None = None, weight: float = 0) -> Table:
    return {
        "digits": {
            "local-a": {"blue": blue, "green": green, "green_weight": weight},
            "local-b": {"blue": PLAIN, "green": None, "green_weight": 0},
        }
    }


STANDING = {"digits": {"local-a": PLAIN, "local-b": PLAIN}}


def test_a_candidate_goes_into_the_slot_that_does_not_hold_what_stands() -> None:
    after = placed(table(), "digits", "local-a", BETTER, PLAIN)
    assert after["digits"]["local-a"] == {"blue": PLAIN, "green": BETTER, "green_weight": 0}
    assert after["digits"]["local-b"] == table()["digits"]["local-b"]


def test_the_slots_are_equals() -> None:
    start = table(blue=None, green=PLAIN, weight=100)
    after = placed(start, "digits", "local-a", BETTER, PLAIN)
    assert after["digits"]["local-a"] == {"blue": BETTER, "green": PLAIN, "green_weight": 100}
    assert share(after["digits"]["local-a"], PLAIN) == 100


def test_placing_what_is_placed_changes_nothing() -> None:
    start = table(green=BETTER, weight=5)
    assert placed(start, "digits", "local-a", BETTER, PLAIN) is start


def test_a_slot_with_traffic_is_not_taken() -> None:
    with pytest.raises(UsageError) as caught:
        placed(table(green=BETTER, weight=5), "digits", "local-a", THIRD, PLAIN)
    assert caught.value.code == "plan.slot_taken"


@pytest.mark.parametrize(("release", "weight"), [(BETTER, 5.5), (PLAIN, 94.5)])
def test_a_move_gives_exactly_the_share_whatever_the_slot(release: str, weight: float) -> None:
    after = moved(table(green=BETTER), "digits", "local-a", release, 5.5)
    assert after["digits"]["local-a"]["green_weight"] == weight
    assert share(after["digits"]["local-a"], release) == 5.5


def test_a_move_of_what_is_not_placed_is_refused() -> None:
    with pytest.raises(UsageError, match="no slot"):
        moved(table(), "digits", "local-a", BETTER, 5)


@pytest.mark.parametrize(("model", "region"), [("faces", "local-a"), ("digits", "mars")])
def test_unknown_places_are_named_with_the_known_ones(model: str, region: str) -> None:
    with pytest.raises(UsageError) as caught:
        placed(table(), model, region, BETTER, PLAIN)
    assert "digits" in caught.value.remedy or "local-a" in caught.value.remedy


def test_rollback_during_a_promotion_goes_to_what_stands() -> None:
    back = rollback(table(green=BETTER, weight=25), "digits", STANDING, {})
    assert back.release == BETTER
    assert back.regions == ("local-a",)
    assert back.target == table(green=BETTER, weight=0)


def test_rollback_after_the_promotion_goes_to_the_former_release() -> None:
    stands = {"digits": {"local-a": BETTER, "local-b": PLAIN}}
    back = rollback(table(green=BETTER, weight=100), "digits", stands, {"digits": {"local-a": PLAIN}})
    assert back.release == BETTER
    assert back.target == table(green=BETTER, weight=0)


def test_rollback_takes_every_region_whatever_its_phase() -> None:
    start = table(green=BETTER, weight=100)
    start["digits"]["local-b"] = {"blue": PLAIN, "green": BETTER, "green_weight": 10}
    stands = {"digits": {"local-a": BETTER, "local-b": PLAIN}}
    back = rollback(start, "digits", stands, {"digits": {"local-a": PLAIN}})
    assert back.regions == ("local-a", "local-b")
    assert all(share(cell, PLAIN) == 100 for cell in back.target["digits"].values())


def test_rollback_without_anything_to_leave_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        rollback(table(), "digits", STANDING, {})
    assert caught.value.code == "plan.nothing_to_roll_back"


def test_rollback_to_a_slot_that_was_reused_is_refused() -> None:
    stands = {"digits": {"local-a": THIRD, "local-b": PLAIN}}
    with pytest.raises(UsageError) as caught:
        rollback(table(blue=PLAIN, green=BETTER, weight=25), "digits", stands, {})
    assert caught.value.code in ("plan.no_way_back", "plan.nothing_to_roll_back")


def test_withdrawing_names_what_stands_and_then_the_cell_goes() -> None:
    first = withdrawn(table(), "digits", ["local-b"], STANDING)
    assert first["digits"]["local-b"] == {"withdraw": PLAIN}
    assert without(first, "digits", ["local-b"]) == {"digits": {"local-a": table()["digits"]["local-a"]}}
    assert without(first, "digits", ["local-a", "local-b"]) == {}


def test_withdrawing_where_nothing_stands_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        withdrawn(table(), "digits", ["local-a"], {})
    assert caught.value.code == "plan.nothing_stands"
