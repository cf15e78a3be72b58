package lockstep_test.slot_keeps_release

import data.lockstep_test.fixtures as f

test_a_slot_without_traffic_may_change if {
	f.allowed(f.question([f.place("local-a", f.cell(f.s, f.c, 0), f.cell(f.s, f.t, 0))]))
	f.allowed(f.question([f.place("local-a", f.cell(f.s, f.c, 0), f.cell(f.s, null, 0))]))
}

test_a_slot_with_traffic_may_not if {
	f.codes(f.question([f.place("local-a", f.cell(f.s, f.c, 0.1), f.cell(f.s, f.t, 0))])) == {"slot.keeps_release"}
	f.codes(f.question([f.place("local-a", f.cell(f.s, f.c, 5), f.cell(f.s, null, 0))])) == {"slot.keeps_release"}
}

test_nor_the_blue_one if {
	"slot.keeps_release" in f.codes(f.question([f.place("local-a", f.cell(f.s, null, 0), f.cell(f.c, null, 0))]))
}

test_a_vacant_cell_has_no_release_to_keep if {
	f.allowed(f.question([f.place("local-a", f.cell(null, null, 0), f.cell(f.s, null, 0))]))
}

test_withdrawing_by_name_is_the_exception if {
	f.allowed(f.question([f.place("local-a", f.cell(f.s, f.c, 5), f.withdrawn(f.s))]))
}

test_missing_fact if {
	not f.allowed(f.with_place(f.step(0, 5), {"from": {"green": f.c, "green_weight": 0}}))
}
