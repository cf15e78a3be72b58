package lockstep_test.release_model

import data.lockstep_test.fixtures as f

placing := f.question([f.place("local-a", f.cell(f.s, null, 0), f.cell(f.s, f.c, 0))])

test_a_release_of_this_model_is_allowed if {
	f.allowed(placing)
}

test_a_release_of_another_model_is_denied if {
	other := f.with_release(placing, f.c, {"model": "letters"})
	f.codes(other) == {"release.model"}
	some message in f.messages(other, "release.model")
	endswith(message, "but of: letters")
}

test_missing_fact if {
	unknown := f.with_release(placing, f.c, {"model": null})
	f.codes(unknown) == {"release.model"}
	some message in f.messages(unknown, "release.model")
	endswith(message, "no reason was given")
}
