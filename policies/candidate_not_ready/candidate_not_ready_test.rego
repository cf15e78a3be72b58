package lockstep_test.candidate_not_ready

import data.lockstep_test.fixtures as f

test_ready_in_the_newest_outcome_is_allowed if {
	f.allowed(f.step(0, 5))
}

test_not_ready_is_denied if {
	question := f.with_place(f.step(0, 5), {"ready": {"blue": true, "green": false}})
	f.codes(question) == {"candidate.not_ready"}
	some message in f.messages(question, "candidate.not_ready")
	contains(message, "the newest outcome says that it was not ready")
}

test_placed_and_shifted_in_one_update_is_denied if {
	at := f.place("local-a", f.cell(f.s, null, 0), f.cell(f.s, f.c, 5))
	question := f.question([at])
	f.codes(question) == {"candidate.not_ready"}
	some message in f.messages(question, "candidate.not_ready")
	contains(message, "does not say that it lies there")
}

test_another_release_was_ready_there if {
	at := f.place("local-a", f.cell(f.s, f.t, 0), f.cell(f.s, f.c, 5))
	f.codes(f.question([at])) == {"candidate.not_ready"}
}

test_placing_at_zero_needs_no_readiness if {
	f.allowed(f.question([f.set_fields(
		f.place("local-a", f.cell(f.s, null, 0), f.cell(f.s, f.c, 0)),
		{"ready": {"blue": true, "green": null}},
	)]))
}

test_the_standing_release_is_free if {
	f.allowed(f.with_place(f.step(50, 0), {"ready": {"blue": false, "green": true}}))
}

test_missing_fact if {
	unknown := f.with_place(f.step(0, 5), {"ready": {"blue": true, "green": null}})
	f.codes(unknown) == {"candidate.not_ready"}
	some message in f.messages(unknown, "candidate.not_ready")
	endswith(message, "the newest outcome does not say whether it was ready")
	not f.allowed(f.with_place(f.step(0, 5), {"ready": {"blue": true}}))
}
