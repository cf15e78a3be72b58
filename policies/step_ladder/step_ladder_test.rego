package lockstep_test.step_ladder

import data.lockstep_test.fixtures as f

test_each_rung_and_anything_below_it_is_allowed if {
	every pair in [[0, 5], [0, 0.1], [5, 25], [5, 10], [7.5, 25], [25, 50], [50, 100], [50, 99.9]] {
		f.allowed(f.step(pair[0], pair[1]))
	}
}

test_past_the_next_rung_is_denied if {
	every pair in [[0, 5.1], [0, 25], [4.9, 5.1], [5, 25.1], [25, 51]] {
		f.codes(f.step(pair[0], pair[1])) == {"step.ladder"}
	}
}

test_message_names_the_next_step if {
	f.messages(f.step(5, 40), "step.ladder") == {sprintf(
		"%s: share of %s would go from 5 %% to 40 %%; the next allowed step is 25 %%",
		["digits in local-a", "sha256:b2b2b2b2b2b2"],
	)}
}

test_a_candidate_in_blue_climbs_the_same_ladder if {
	at := f.cell(f.c, f.s, 100)
	f.allowed(f.question([f.place("local-a", at, f.cell(f.c, f.s, 95))]))
	f.codes(f.question([f.place("local-a", at, f.cell(f.c, f.s, 90))])) == {"step.ladder"}
}

test_first_placement_is_free if {
	f.allowed(f.question([f.first_place("local-a", f.cell(f.c, null, 0))]))
}

test_the_standing_release_is_free if {
	f.allowed(f.step(100, 0))
	back := f.set_fields(f.place("local-a", f.withdrawn(f.s), f.cell(f.s, null, 0)), {"live": null})
	f.allowed(f.question([back]))
}

test_another_release_is_not_free_after_a_withdrawal if {
	other := f.set_fields(f.place("local-a", f.withdrawn(f.s), f.cell(f.c, null, 0)), {"live": null})
	"step.ladder" in f.codes(f.question([other]))
}

# The release s stood before c, c stands now, and a record says to go back to s.
rollback_to_former := f.set_fields(f.question([former]), {"rollback": {
	"digest": f.c,
	"target": {"digits": {"local-a": f.cell(f.s, f.c, 0)}},
}})

former := f.set_fields(f.place("local-a", f.cell(f.s, f.c, 100), f.cell(f.s, f.c, 0)), {"standing": f.c, "former": f.s})

test_the_target_of_a_recorded_rollback_is_free if {
	f.allowed(rollback_to_former)
}

test_without_the_record_it_is_bound if {
	{"step.ladder", "step.size"} == f.codes(f.set_fields(rollback_to_former, {"rollback": null}))
}

test_a_record_that_names_no_place_to_go_back_to_sets_nothing_free if {
	"step.ladder" in f.codes(f.with_place(rollback_to_former, {"former": null}))
	"step.ladder" in f.codes(f.with_place(rollback_to_former, {"former": f.t}))
}

test_a_rollback_goes_no_further_than_its_target if {
	half := {"digest": f.c, "target": {"digits": {"local-a": f.cell(f.s, f.c, 50)}}}
	"step.ladder" in f.codes(f.set_fields(rollback_to_former, {"rollback": half}))
}

test_during_a_promotion_the_base_is_the_place_to_go_back_to if {
	# t had 40 % before this promotion began (it was taken over by hand, say), and goes back to that
	at := f.set_fields(
		f.place("local-a", f.cell(f.s, f.t, 10), f.cell(f.s, f.t, 40)),
		{"base": f.cell(f.s, f.t, 40)},
	)
	target := {"digest": f.c, "target": {"digits": {"local-a": f.cell(f.s, f.t, 40)}}}
	f.allowed(f.set_fields(f.question([at]), {"rollback": target}))
	"step.ladder" in f.codes(f.question([at]))
	beyond := f.with_place(f.question([at]), {"base": f.cell(f.s, f.t, 20)})
	"step.ladder" in f.codes(f.set_fields(beyond, {"rollback": target}))
}

test_a_lost_standing_mark_frees_nothing if {
	lost := f.with_place(f.step(0, 80), {"standing": null})
	{"gate.input_invalid", "step.ladder", "step.size"} == f.codes(lost)
}

test_missing_fact if {
	not f.allowed(f.with_place(f.step(0, 5), {"to": {"blue": f.s, "green": f.c, "green_weight": "5"}}))
	not data.lockstep.allow with input as f.step(0, 5) with data.settings.environments as {"local": object.remove(
		f.environments.local,
		["ladder"],
	)}
}
