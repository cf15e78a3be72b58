package lockstep_test.region_one_at_a_time

import data.lockstep_test.fixtures as f

both(before, after) := f.question([
	f.place("local-a", before, after),
	f.place("local-b", before, after),
])

test_one_region_is_allowed if {
	resting := f.cell(f.s, f.c, 0)
	f.allowed(f.question([
		f.place("local-a", resting, f.cell(f.s, f.c, 5)),
		f.place("local-b", resting, resting),
	]))
}

test_two_regions_are_denied_each if {
	question := both(f.cell(f.s, f.c, 0), f.cell(f.s, f.c, 5))
	f.codes(question) == {"region.one_at_a_time"}
	count(f.messages(question, "region.one_at_a_time")) == 2
}

test_as_many_as_the_data_says if {
	question := both(f.cell(f.s, f.c, 0), f.cell(f.s, f.c, 5))
	two := object.union(f.environments, {"local": {"regions_at_once": 2}})
	data.lockstep.allow with input as question with data.settings.environments as two
}

test_another_model_counts_for_itself if {
	other := f.set_fields(f.place("local-b", f.cell(f.s, f.c, 0), f.cell(f.s, f.c, 5)), {"model": "letters"})
	question := f.question([f.place("local-a", f.cell(f.s, f.c, 0), f.cell(f.s, f.c, 5)), other])
	f.allowed(question)
}

test_placing_and_going_back_move_all_regions_at_once if {
	f.allowed(both(f.cell(f.s, null, 0), f.cell(f.s, f.c, 0)))
	f.allowed(both(f.cell(f.s, f.c, 50), f.cell(f.s, f.c, 0)))
}

test_first_placements_are_free if {
	f.allowed(f.question([
		f.first_place("local-a", f.cell(f.s, null, 0)),
		f.first_place("local-b", f.cell(f.s, null, 0)),
	]))
}

test_missing_fact if {
	question := f.step(0, 5)
	not f.allowed(f.set_fields(question, {"cells": [object.remove(question.cells[0], ["region"])]}))
}

test_a_region_that_falls_or_only_gets_a_release_does_not_count if {
	rises := f.place("local-a", f.cell(f.s, f.c, 0), f.cell(f.s, f.c, 5))
	falls := f.place("local-b", f.cell(f.s, f.c, 5), f.cell(f.s, f.c, 0))
	places := f.place("local-c", f.cell(f.s, null, 0), f.cell(f.s, f.c, 0))
	f.allowed(f.question([rises, falls, places]))
	also := f.set_fields(rises, {"region": "local-d"})
	count(f.messages(f.question([rises, falls, places, also]), "region.one_at_a_time")) == 2
}
