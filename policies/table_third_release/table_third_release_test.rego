package lockstep_test.table_third_release

import data.lockstep_test.fixtures as f

test_the_candidates_slot_may_be_reused if {
	f.allowed(f.question([f.place("local-a", f.cell(f.s, f.c, 0), f.cell(f.s, f.t, 0))]))
}

test_during_probation_the_standing_release_stays if {
	probation := f.place("local-a", f.cell(f.s, f.c, 100), f.cell(f.t, f.c, 100))
	f.codes(f.question([probation])) == {"table.third_release"}
	emptied := f.place("local-a", f.cell(f.s, f.c, 100), f.cell(null, f.c, 100))
	f.codes(f.question([emptied])) == {"table.third_release"}
}

test_after_it_the_former_slot_is_free if {
	after := f.set_fields(
		f.place("local-a", f.cell(f.s, f.c, 100), f.cell(f.t, f.c, 100)),
		{"standing": f.c, "former": f.s},
	)
	f.allowed(f.question([after]))
}

test_standing_in_both_slots_it_may_leave_one if {
	f.allowed(f.question([f.place("local-a", f.cell(f.s, f.s, 0), f.cell(f.s, f.c, 0))]))
}

test_what_was_withdrawn_has_left_already if {
	other := f.set_fields(f.place("local-a", f.withdrawn(f.s), f.cell(f.c, null, 0)), {"live": null})
	not "table.third_release" in f.codes(f.question([other]))
}

test_withdrawing_is_not_leaving if {
	f.allowed(f.question([f.place("local-a", f.cell(f.s, f.c, 100), f.withdrawn(f.s))]))
}

test_missing_fact if {
	question := f.step(0, 5)
	not f.allowed(f.set_fields(question, {"cells": [object.remove(question.cells[0], ["standing"])]}))
	not f.allowed(f.with_place(question, {"standing": null}))
}
