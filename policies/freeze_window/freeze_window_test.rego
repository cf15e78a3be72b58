package lockstep_test.freeze_window

import data.lockstep_test.fixtures as f

window(from, to, reason) := {
	"from": sprintf("2026-%sZ", [from]),
	"to": sprintf("2026-%sZ", [to]),
	"reason": reason,
}

# The fixtures' `now` is 10:00 on 21 November.
morning := window("11-21T09:00:00", "11-21T12:00:00", "audit week")

frozen_by(windows, question) := {violation |
	some violation in data.lockstep.violations with input as question
		with data.settings.environments as {"local": f.set_fields(f.environments.local, {"freeze_windows": windows})}
}

codes(windows, question) := {violation.code | some violation in frozen_by(windows, question)}

open(windows, question) if count(frozen_by(windows, question)) == 0

at(now) := f.set_fields(f.step(0, 5), {"now": sprintf("2026-%sZ", [now])})

until(windows) := {violation.message | some violation in frozen_by(windows, f.step(0, 5))}

test_without_a_window_nothing_is_frozen if {
	open([], f.step(0, 5))
}

test_in_a_window_no_candidate_rises if {
	codes([morning], f.step(0, 5)) == {"freeze.window"}
	codes([morning], f.step(50, 100)) == {"freeze.window"}
}

test_the_message_says_until_when_and_why if {
	some violation in frozen_by([morning], f.step(0, 5))
	violation.message == concat("", [
		"digits in local-a: the share of sha256:b2b2b2b2b2b2 cannot rise before 2026-11-21T12:00:00Z: ",
		"audit week",
	])
	violation.cell == "digits/local-a"
	violation.remedy == "promote it after 2026-11-21T12:00:00Z; rolling back is free of the freeze"
}

test_a_window_begins_with_its_first_moment_and_is_over_at_its_last if {
	open([morning], at("11-21T08:59:59.999999"))
	codes([morning], at("11-21T09:00:00.000000")) == {"freeze.window"}
	codes([morning], at("11-21T11:59:59.999999")) == {"freeze.window"}
	open([morning], at("11-21T12:00:00.000000"))
}

test_windows_elsewhere_in_time_freeze_nothing if {
	past := window("01-01T00:00:00", "11-21T10:00:00", "then")
	coming := window("11-21T10:00:01", "12-31T00:00:00", "later")
	open([past, coming], f.step(0, 5))
}

test_overlapping_windows_are_one if {
	overlapping := [
		window("11-21T11:00:00", "11-21T15:00:00", "second"),
		morning,
		window("11-21T09:30:00", "11-21T11:30:00", "inner"),
	]
	until(overlapping) == {concat("", [
		"digits in local-a: the share of sha256:b2b2b2b2b2b2 cannot rise before 2026-11-21T15:00:00Z: ",
		"audit week; inner",
	])}
	codes(overlapping, at("11-21T12:00:00.000000")) == {"freeze.window"}
	open(overlapping, at("11-21T15:00:00.000000"))
}

test_windows_that_touch_leave_no_gap if {
	touching := [morning, window("11-21T12:00:00", "11-21T13:00:00", "and on")]
	some message in until(touching)
	contains(message, "cannot rise before 2026-11-21T13:00:00Z: audit week")
}

test_a_gap_between_windows_is_open if {
	apart := [
		window("11-21T07:00:00", "11-21T08:00:00", "earlier"),
		morning,
		window("11-21T12:00:01", "11-21T20:00:00", "evening"),
	]
	some message in until(apart)
	contains(message, "cannot rise before 2026-11-21T12:00:00Z: audit week")
	open(apart, at("11-21T12:00:00.500000"))
}

test_first_placements_are_free if {
	open([morning], f.question([f.first_place("local-a", f.cell(f.s, null, 0))]))
}

test_steps_towards_the_standing_release_are_free if {
	open([morning], f.step(50, 0))
	open([morning], f.step(100, 50))
}

test_a_recorded_rollback_is_free if {
	former := f.set_fields(
		f.place("local-a", f.cell(f.s, f.c, 100), f.cell(f.s, f.c, 0)),
		{"standing": f.c, "former": f.s},
	)
	target := {"digest": f.c, "target": {"digits": {"local-a": f.cell(f.s, f.c, 0)}}}
	open([morning], f.set_fields(f.question([former]), {"rollback": target}))
	"freeze.window" in codes([morning], f.question([former]))
}

test_withdrawing_and_placing_at_zero_are_free if {
	open([morning], f.question([f.place("local-a", f.cell(f.s, f.c, 5), f.withdrawn(f.s))]))
	open([morning], f.question([f.place("local-a", f.cell(f.s, null, 0), f.cell(f.s, f.c, 0))]))
}

test_a_mark_moves_nothing_and_is_free if {
	full := f.cell(f.s, f.c, 100)
	due := f.set_fields(f.place("local-a", full, full), {"at_full_since": "2026-11-21T09:00:00.000000Z"})
	marks := [{"model": "digits", "region": "local-a", "digest": f.c}]
	open([morning], f.set_fields(f.question([due]), {"kind": "stand", "marks": marks}))
}

test_each_rising_cell_is_named if {
	resting := f.cell(f.s, f.c, 0)
	falls := f.place("local-b", f.cell(f.s, f.c, 5), resting)
	letters := f.set_fields(f.place("local-c", resting, f.cell(f.s, f.c, 5)), {"model": "letters"})
	question := f.question([f.step(0, 5).cells[0], falls, letters])
	{violation.cell | some violation in frozen_by([morning], question); violation.code == "freeze.window"} == {
		"digits/local-a",
		"letters/local-c",
	}
}

test_missing_fact if {
	unsaid := "digits in local-a: whether a freeze window is in force cannot be said"
	unsaid in {violation.message | some violation in frozen_by([], f.set_fields(f.step(0, 5), {"now": null}))}
	unsaid in {violation.message | some violation in frozen_by([], f.set_fields(f.step(0, 5), {"now": 5}))}
	unsaid in {violation.message | some violation in frozen_by([], object.remove(f.step(0, 5), ["now"]))}
	unsaid in {violation.message | some violation in frozen_by(null, f.step(0, 5))}
	"policy.data" in codes(null, f.step(0, 5))
	codes(null, f.step(5, 0)) == {"policy.data"}
}
