package lockstep_test.slot_empty_weight

import data.lockstep_test.fixtures as f

test_weight_on_a_slot_with_a_release_is_allowed if {
	f.allowed(f.question([f.first_place("local-a", f.cell(f.s, null, 0))]))
	f.allowed(f.question([f.first_place("local-a", f.cell(null, f.s, 100))]))
}

test_weight_on_an_empty_slot_is_denied if {
	f.codes(f.question([f.first_place("local-a", f.cell(f.s, null, 0.1))])) == {"slot.empty_weight"}
	f.codes(f.question([f.first_place("local-a", f.cell(null, f.s, 99.9))])) == {"slot.empty_weight"}
}

test_a_vacant_cell_is_allowed if {
	f.allowed(f.question([f.first_place("local-a", f.cell(null, null, 0))]))
}

test_weight_in_a_cell_without_any_release_is_denied if {
	question := f.question([f.first_place("local-a", f.cell(null, null, 40))])
	f.messages(question, "slot.empty_weight") == {
		"digits in local-a: slot blue holds no release but would get 60 % of the traffic",
		"digits in local-a: slot green holds no release but would get 40 % of the traffic",
	}
}

test_emptying_a_cell_with_traffic_is_denied if {
	question := f.question([f.place("local-a", f.cell(f.s, null, 0), f.cell(null, null, 0))])
	"slot.keeps_release" in f.codes(question)
}

test_missing_fact if {
	not f.allowed(f.question([f.first_place("local-a", {"blue": f.s, "green": null})]))
	not f.allowed(f.question([f.first_place("local-a", {"blue": f.s, "green_weight": 0})]))
}
