package lockstep_test.state_disagrees

import data.lockstep_test.fixtures as f

resting := f.place("local-b", f.cell(f.s, f.c, 0), f.cell(f.s, f.c, 0))

with_b(fields) := f.set_fields(f.step(0, 5), {"cells": [f.step(0, 5).cells[0], f.set_fields(resting, fields)]})

test_agreeing_is_allowed if {
	f.allowed(with_b({}))
}

test_drift_in_any_cell_denies_every_change if {
	question := with_b({"live": f.cell(f.s, f.c, 50)})
	f.codes(question) == {"state.disagrees"}
	some message in f.messages(question, "state.disagrees")
	startswith(message, "digits in local-b: the gateway routes")
}

test_a_gateway_that_does_not_answer_carries_nothing if {
	f.allowed(with_b({"live": null}))
}

test_another_release_in_a_slot_with_traffic_denies if {
	question := with_b({"serving": {"blue": f.t, "green": f.c}})
	f.codes(question) == {"state.disagrees"}
	some message in f.messages(question, "state.disagrees")
	contains(message, "the service in slot blue serves sha256:c3c3c3c3c3c3, but the record says sha256:a1a1a1a1a1a1")
}

test_the_smallest_share_is_traffic if {
	little := f.cell(f.s, f.c, 0.1)
	at := f.set_fields(f.place("local-b", little, little), {"serving": {"blue": f.s, "green": f.t}})
	f.codes(f.set_fields(f.step(0, 5), {"cells": [f.step(0, 5).cells[0], at]})) == {"state.disagrees"}
}

test_a_service_that_nobody_routed_to_disagrees_with_nothing if {
	vacant := f.cell(null, null, 0)
	at := f.set_fields(f.place("local-b", vacant, vacant), {"serving": {"blue": f.t, "green": null}})
	f.allowed(f.set_fields(f.step(0, 5), {"cells": [f.step(0, 5).cells[0], at]}))
}

test_in_a_slot_without_traffic_it_does_not if {
	f.allowed(with_b({"serving": {"blue": f.s, "green": f.t}}))
}

test_a_service_that_does_not_answer_disagrees_with_nothing if {
	f.allowed(with_b({"serving": {"blue": null, "green": null}}))
}

test_an_unchanged_table_may_repair if {
	at := f.set_fields(resting, {"live": f.cell(f.s, f.c, 50), "serving": {"blue": f.t, "green": null}})
	f.allowed(f.question([at]))
}

# An intent to go from 0 to 5 % is open.
open_at(live, to) := f.question([f.set_fields(
	f.place("local-a", live, to),
	{
		"recorded": f.cell(f.s, f.c, 0),
		"intent": {"from": f.cell(f.s, f.c, 0), "to": f.cell(f.s, f.c, 5)},
	},
)])

test_while_an_intent_is_open_both_its_sides_are_right if {
	f.allowed(open_at(f.cell(f.s, f.c, 0), f.cell(f.s, f.c, 5)))
	f.allowed(open_at(f.cell(f.s, f.c, 5), f.cell(f.s, f.c, 0)))
	f.allowed(open_at(f.cell(f.s, f.c, 5), f.cell(f.s, f.c, 25)))
}

test_and_nothing_else_but_the_recorded_table_repairs_it if {
	f.codes(open_at(f.cell(f.s, f.c, 50), f.cell(f.s, f.c, 100))) == {"state.disagrees"}
	f.allowed(open_at(f.cell(f.s, f.c, 50), f.cell(f.s, f.c, 0)))
	f.codes(open_at(f.cell(f.s, f.c, 50), f.cell(f.s, f.c, 50))) == {"state.disagrees"}
}

test_the_record_is_not_a_side_of_an_intent_that_started_elsewhere if {
	stale := f.with_place(
		open_at(f.cell(f.s, f.c, 0), f.cell(f.s, f.c, 5)),
		{"intent": {"from": f.cell(f.s, f.c, 5), "to": f.cell(f.s, f.c, 25)}},
	)
	f.codes(stale) == {"state.disagrees"}
}

test_the_intents_sides_count_only_while_it_is_open if {
	question := f.with_place(f.step(0, 5), {"live": f.cell(f.s, f.c, 5)})
	f.codes(question) == {"state.disagrees"}
}

test_missing_fact if {
	question := f.step(0, 5)
	not f.allowed(f.set_fields(question, {"cells": [object.remove(question.cells[0], ["live"])]}))
	not f.allowed(f.set_fields(question, {"cells": [object.remove(question.cells[0], ["serving"])]}))
}
