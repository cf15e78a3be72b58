package lockstep_test.release_verified

import data.lockstep_test.fixtures as f

placing := f.question([f.place("local-a", f.cell(f.s, null, 0), f.cell(f.s, f.c, 0))])

test_verified_is_allowed if {
	f.allowed(placing)
}

test_a_damaged_release_is_not_placed if {
	damaged := f.set_fields(
		f.with_release(placing, f.c, {"verified": false}),
		{"reasons": {sprintf("/releases/%s/verified", [f.c]): "model.onnx is damaged"}},
	)
	f.codes(damaged) == {"release.verified"}
	some message in f.messages(damaged, "release.verified")
	contains(message, "model.onnx is damaged")
}

test_nor_gets_more_traffic if {
	f.codes(f.with_release(f.step(0, 5), f.c, {"verified": false})) == {"release.verified"}
}

test_not_even_the_standing_one if {
	f.codes(f.with_release(f.step(5, 0), f.s, {"verified": false})) == {"release.verified"}
}

test_a_damaged_candidate_can_be_taken_out if {
	f.allowed(f.with_release(f.step(50, 0), f.c, {"verified": false}))
}

test_missing_fact if {
	f.codes(f.with_release(placing, f.c, {"verified": null})) == {"release.verified"}
	some message in f.messages(f.with_release(placing, f.c, {"verified": null}), "release.verified")
	contains(message, "no reason was given")
	not f.allowed(f.with_release(placing, f.c, {"verified": 1}))
}
