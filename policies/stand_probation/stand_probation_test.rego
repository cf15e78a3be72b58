package lockstep_test.stand_probation

import data.lockstep_test.fixtures as f

mark(digest) := [{"model": "digits", "region": "local-a", "digest": digest}]

# The candidate has had all of the traffic since one minute before `now`.
due := f.set_fields(f.question([at_full]), {"kind": "stand", "marks": mark(f.c)})

at_full := f.set_fields(
	f.place("local-a", f.cell(f.s, f.c, 100), f.cell(f.s, f.c, 100)),
	{"at_full_since": "2026-11-21T09:59:00.000000Z", "base": f.cell(f.s, f.c, 0)},
)

test_exactly_the_probation_is_enough if {
	f.allowed(due)
}

test_a_moment_less_is_not if {
	early := f.with_place(due, {"at_full_since": "2026-11-21T09:59:00.000001Z"})
	f.codes(early) == {"stand.probation"}
	some message in f.messages(early, "stand.probation")
	contains(message, "all of the traffic for 59 s of 60 s")
}

test_a_clock_that_runs_backwards_is_no_probation if {
	f.codes(f.with_place(due, {"at_full_since": "2026-11-21T10:05:00.000000Z"})) == {"stand.probation"}
}

test_less_than_all_of_the_traffic_is_not_enough if {
	most := f.set_fields(
		f.place("local-a", f.cell(f.s, f.c, 99.9), f.cell(f.s, f.c, 99.9)),
		{"at_full_since": "2026-11-21T09:00:00.000000Z"},
	)
	f.codes(f.set_fields(due, {"cells": [most]})) == {"stand.probation"}
}

test_a_service_in_the_other_slot_that_says_so_does_not_make_it_all_of_the_traffic if {
	most := f.set_fields(
		f.place("local-a", f.cell(f.s, f.c, 99.9), f.cell(f.s, f.c, 99.9)),
		{"at_full_since": "2026-11-21T09:00:00.000000Z", "serving": {"blue": f.c, "green": f.c}},
	)
	"stand.probation" in f.codes(f.set_fields(due, {"cells": [most]}))
}

test_live_and_service_must_show_it if {
	f.codes(f.with_place(due, {"live": f.cell(f.s, f.c, 50)})) == {"stand.probation"}
	f.codes(f.with_place(due, {"live": null})) == {"stand.probation"}
	f.codes(f.with_place(due, {"serving": {"blue": f.s, "green": null}})) == {"stand.probation"}
}

test_a_barred_release_does_not_come_to_stand if {
	f.codes(f.set_fields(due, {"barred": [f.c]})) == {"stand.probation"}
}

test_nothing_moves_with_it if {
	moving := f.with_place(due, {"to": f.cell(f.s, f.c, 50)})
	"stand.probation" in f.codes(moving)
	some message in f.messages(moving, "stand.probation")
	contains(message, "this cell would change")
}

test_the_question_names_a_mark if {
	"stand.probation" in f.codes(f.set_fields(due, {"marks": []}))
}

test_one_early_mark_denies_all if {
	early := f.set_fields(at_full, {"region": "local-b", "at_full_since": "2026-11-21T09:59:30.000000Z"})
	two := f.set_fields(due, {
		"cells": [at_full, early],
		"marks": array.concat(mark(f.c), [{"model": "digits", "region": "local-b", "digest": f.c}]),
	})
	f.codes(two) == {"stand.probation"}
	count(f.messages(two, "stand.probation")) == 1
}

test_a_first_placement_stands_at_once if {
	first := f.question([f.first_place("local-a", f.cell(f.c, null, 0))])
	f.allowed(f.set_fields(first, {"marks": mark(f.c)}))
	f.codes(f.set_fields(first, {"marks": mark(f.t)})) == {"stand.probation"}
}

test_a_step_marks_nothing_else if {
	marked := f.set_fields(f.step(50, 100), {"marks": mark(f.c)})
	f.codes(marked) == {"stand.probation"}
	some message in f.messages(marked, "stand.probation")
	contains(message, "neither a first placement nor the completed target of a rollback")
}

rolled_back := f.set_fields(f.question([former]), {
	"marks": mark(f.s),
	"rollback": {"digest": f.c, "target": {"digits": {"local-a": f.cell(f.s, f.c, 0)}}},
})

former := f.set_fields(
	f.place("local-a", f.cell(f.s, f.c, 100), f.cell(f.s, f.c, 0)),
	{"standing": f.c, "former": f.s},
)

test_a_completed_rollback_stands_at_once if {
	f.allowed(rolled_back)
	half := f.with_place(rolled_back, {"to": f.cell(f.s, f.c, 50)})
	f.codes(half) == {"stand.probation"}
}

test_a_mark_without_a_place_is_denied if {
	lost := f.set_fields(due, {"marks": [{"model": "digits", "region": "local-z", "digest": f.c}]})
	{"stand.probation", "gate.input_invalid"} == f.codes(lost)
	some message in f.messages(lost, "stand.probation")
	endswith(message, "there is nothing to judge it by")
}

test_missing_fact if {
	f.codes(f.with_place(due, {"at_full_since": null})) == {"stand.probation"}
	not f.allowed(object.remove(due, ["now"]))
	not f.allowed(f.set_fields(due, {"now": "yesterday"}))
	not data.lockstep.allow with input as due with data.settings.environments as {"local": object.remove(
		f.environments.local,
		["probation_seconds"],
	)}
}

test_it_looks_at_the_places_to_be_marked if {
	resting := f.cell(f.s, f.c, 0)
	others := [f.set_fields(f.place(region, resting, resting), {"model": model}) |
		some [model, region] in [["digits", "local-b"], ["digits", "local-c"], ["letters", "local-a"], ["maps", "local-a"]]
	]
	answer := data.lockstep.decision with input as f.set_fields(due, {"cells": array.concat([at_full], others)})
		with data.settings.environments as f.environments
	answer.allow
	answer.looked["stand.probation"] == 1
}

test_the_slot_that_has_the_traffic_must_serve_it if {
	f.codes(f.with_place(due, {"serving": {"blue": f.c, "green": null}})) == {"stand.probation"}
}

both_slots(weight, serving) := f.set_fields(due, {"cells": [f.set_fields(at_full, {
	"from": f.cell(f.c, f.c, weight),
	"to": f.cell(f.c, f.c, weight),
	"recorded": f.cell(f.c, f.c, weight),
	"live": f.cell(f.c, f.c, weight),
	"serving": serving,
})]})

test_in_both_slots_each_that_has_traffic_must_serve_it if {
	f.allowed(both_slots(50, {"blue": f.c, "green": f.c}))
	f.allowed(both_slots(100, {"blue": null, "green": f.c}))
	f.allowed(both_slots(0, {"blue": f.c, "green": null}))
	f.codes(both_slots(50, {"blue": f.c, "green": null})) == {"stand.probation"}
	f.codes(both_slots(100, {"blue": f.c, "green": null})) == {"stand.probation"}
	f.codes(both_slots(99.9, {"blue": null, "green": f.c})) == {"stand.probation"}
}

test_no_rounding_shortens_a_long_probation if {
	long := object.union(f.environments, {"local": {"probation_seconds": 100000}})
	enough := f.with_place(due, {"at_full_since": "2026-11-20T06:13:20.000000Z"})
	data.lockstep.allow with input as enough with data.settings.environments as long
	early := f.with_place(due, {"at_full_since": "2026-11-20T06:13:20.000001Z"})
	not data.lockstep.allow with input as early with data.settings.environments as long
}

test_the_smallest_share_of_a_first_placement_may_stand if {
	first := f.question([f.first_place("local-a", f.cell(f.s, f.c, 0.1))])
	f.allowed(f.set_fields(first, {"marks": mark(f.c)}))
}

# Each way to stand belongs to its kind of question.
test_a_question_of_probation_marks_no_first_placement if {
	resting := f.set_fields(
		f.first_place("local-a", f.cell(f.c, null, 0)),
		{"from": f.cell(f.c, null, 0), "recorded": f.cell(f.c, null, 0), "live": f.cell(f.c, null, 0)},
	)
	f.codes(f.set_fields(f.question([resting]), {"kind": "stand", "marks": mark(f.c)})) == {"stand.probation"}
}

test_nor_a_rollback if {
	done := f.with_place(rolled_back, {
		"from": f.cell(f.s, f.c, 0),
		"recorded": f.cell(f.s, f.c, 0),
		"live": f.cell(f.s, f.c, 0),
	})
	f.codes(f.set_fields(done, {"kind": "stand"})) == {"stand.probation"}
}

test_and_a_step_ends_no_probation if {
	f.codes(f.set_fields(due, {"kind": "step"})) == {"stand.probation"}
}
