package lockstep_test.release_barred

import data.lockstep_test.fixtures as f

barred(question) := f.set_fields(question, {"barred": [f.c]})

test_not_barred_is_allowed if {
	f.allowed(f.set_fields(f.step(0, 5), {"barred": [f.t]}))
}

test_raising_it_is_denied if {
	f.codes(barred(f.step(0, 5))) == {"release.barred"}
}

test_placing_it_is_denied if {
	placing := f.question([f.place("local-a", f.cell(f.s, null, 0), f.cell(f.s, f.c, 0))])
	f.codes(barred(placing)) == {"release.barred"}
}

test_lying_at_zero_and_falling_are_not_denied if {
	lying := f.question([f.place("local-a", f.cell(f.s, f.c, 0), f.cell(f.s, f.c, 0))])
	f.allowed(barred(lying))
	f.allowed(barred(f.step(50, 0)))
	f.allowed(barred(f.question([f.place("local-a", f.cell(f.s, f.c, 0), f.cell(f.s, null, 0))])))
}

test_not_even_the_standing_release_comes_back_untried if {
	f.codes(f.set_fields(f.step(5, 0), {"barred": [f.s]})) == {"release.barred"}
}

test_missing_fact if {
	"release.barred" in f.codes(f.set_fields(f.step(0, 5), {"barred": null}))
	"release.barred" in f.codes(object.remove(f.step(0, 5), ["barred"]))
}
