package lockstep_test.evidence_evaluation

import data.lockstep_test.fixtures as f

placing := f.question([f.place("local-a", f.cell(f.s, null, 0), f.cell(f.s, f.c, 0))])

scored(question, digest, accuracy) := f.with_release(question, digest, {"evaluation": object.union(
	f.release.evaluation,
	{"accuracy": accuracy},
)})

test_exactly_the_floor_is_allowed if {
	f.allowed(scored(placing, f.c, 0.9))
}

test_below_the_floor_is_denied if {
	poor := scored(placing, f.c, 0.89)
	f.codes(poor) == {"evidence.evaluation"}
	some message in f.messages(poor, "evidence.evaluation")
	endswith(message, "was right on 0.89 of its held-out images; at least 0.9 is asked for")
}

test_asked_again_at_every_rise if {
	f.codes(scored(f.step(0, 5), f.c, 0.1)) == {"evidence.evaluation"}
}

test_first_placement_needs_evidence_too if {
	first := f.question([f.first_place("local-a", f.cell(f.s, null, 0))])
	f.codes(f.with_release(first, f.s, {"evaluation": null})) == {"evidence.evaluation"}
}

test_going_back_is_not_asked_again if {
	f.allowed(f.with_release(f.step(50, 0), f.s, {"evaluation": null}))
	f.allowed(scored(f.step(50, 0), f.s, 0.1))
}

test_placing_the_standing_release_anew_is if {
	back := f.set_fields(f.place("local-a", f.withdrawn(f.s), f.cell(f.s, null, 0)), {"live": null})
	f.codes(scored(f.question([back]), f.s, 0.1)) == {"evidence.evaluation"}
}

test_missing_fact if {
	unsigned := f.set_fields(
		f.with_release(placing, f.c, {"evaluation": null}),
		{"reasons": {sprintf("/releases/%s/evaluation", [f.c]): "the signature is of nobody we know"}},
	)
	f.codes(unsigned) == {"evidence.evaluation"}
	some message in f.messages(unsigned, "evidence.evaluation")
	endswith(message, "the signature is of nobody we know")
	not f.allowed(scored(placing, f.c, "12"))
	not f.allowed(scored(placing, f.c, null))
}
