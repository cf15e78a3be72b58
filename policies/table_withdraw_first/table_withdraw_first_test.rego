package lockstep_test.table_withdraw_first

import data.lockstep_test.fixtures as f

test_withdrawing_the_standing_release_by_name_is_allowed if {
	question := f.question([f.place("local-a", f.cell(f.s, null, 0), f.withdrawn(f.s))])
	f.allowed(question)
	f.allowed(f.set_fields(question, {"kind": "withdraw"}))
}

test_leaving_after_it_is_allowed if {
	f.allowed(f.question([f.set_fields(f.place("local-a", f.withdrawn(f.s), null), {"live": null})]))
}

test_leaving_without_it_is_denied if {
	question := f.question([f.place("local-a", f.cell(f.s, null, 0), null)])
	f.codes(question) == {"table.withdraw_first"}
	some violation in data.lockstep.violations with input as question with data.settings.environments as f.environments
	contains(violation.remedy, "withdraw: sha256:a1a1a1a1a1a1")
}

test_withdrawing_another_release_is_denied if {
	question := f.question([f.place("local-a", f.cell(f.s, f.c, 5), f.withdrawn(f.c))])
	f.codes(question) == {"table.withdraw_first"}
	some message in f.messages(question, "table.withdraw_first")
	endswith(message, "names sha256:b2b2b2b2b2b2, but what stands there is sha256:a1a1a1a1a1a1")
}

unmarked(before, after) := f.question([f.set_fields(
	f.place("local-a", before, after),
	{"first": true, "standing": null},
)])

test_where_nothing_stood_a_release_that_lies_there_is_named if {
	f.allowed(unmarked(f.cell(f.c, null, 0), f.withdrawn(f.c)))
	f.codes(unmarked(f.cell(f.c, null, 0), f.withdrawn(f.s))) == {"table.withdraw_first"}
	f.codes(unmarked(null, f.withdrawn(f.s))) == {"table.withdraw_first"}
	f.codes(unmarked(f.cell(f.c, null, 0), null)) == {"table.withdraw_first"}
}

test_where_nothing_stood_a_withdrawal_stays_as_it_is if {
	f.allowed(f.set_fields(
		unmarked(f.withdrawn(f.c), f.withdrawn(f.c)),
		{"kind": "withdraw"},
	))
	f.codes(unmarked(f.withdrawn(f.c), f.withdrawn(f.s))) == {"table.withdraw_first"}
	marked := f.set_fields(
		unmarked(f.withdrawn(f.c), f.withdrawn(f.c)),
		{"marks": [{"model": "digits", "region": "local-a", "digest": f.c}]},
	)
	f.codes(marked) == {"stand.probation"}
}

test_what_stands_is_named_whatever_the_withdrawn_cell_said if {
	renamed := f.set_fields(f.place("local-a", f.withdrawn(f.s), f.withdrawn(f.s)), {"standing": f.c, "live": null})
	marked := [{"model": "digits", "region": "local-a", "digest": f.c}]
	"table.withdraw_first" in f.codes(f.set_fields(f.question([renamed]), {"marks": marked}))
}

test_a_withdrawal_places_nothing if {
	f.codes(f.set_fields(f.step(0, 5), {"kind": "withdraw"})) == {"table.withdraw_first"}
}

test_missing_fact if {
	question := f.question([f.place("local-a", f.cell(f.s, null, 0), null)])
	not f.allowed(f.set_fields(question, {"cells": [object.remove(question.cells[0], ["to"])]}))
	not f.allowed(f.with_place(question, {"to": {"withdraw": null}}))
}
