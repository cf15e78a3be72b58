package lockstep_test.gate_input_invalid

import data.lockstep_test.fixtures as f

test_a_complete_question_is_judged if {
	f.allowed(f.step(0, 5))
}

test_each_field_must_be_there if {
	question := f.step(0, 5)
	every name in object.keys(question) {
		"gate.input_invalid" in f.codes(object.remove(question, [name]))
	}
	every name in object.keys(question.cells[0]) {
		"gate.input_invalid" in f.codes(f.set_fields(question, {"cells": [object.remove(question.cells[0], [name])]}))
	}
}

test_nothing_else_may_be_there if {
	"gate.input_invalid" in f.codes(object.union(f.step(0, 5), {"allow": true}))
	"gate.input_invalid" in f.codes(f.with_place(f.step(0, 5), {"waived": true}))
}

test_types_are_exact if {
	every change in [{"version": 2}, {"kind": "leap"}, {"barred": "none"}, {"marks": null}, {"cells": {}}] {
		"gate.input_invalid" in f.codes(f.set_fields(f.step(0, 5), change))
	}
	"gate.input_invalid" in f.codes({})
	"gate.input_invalid" in f.codes("allow")
}

test_without_a_schema_nothing_is_judged if {
	violations := data.lockstep.violations with input as f.step(0, 5)
		with data.settings as object.remove(data.settings, ["input_schema"])
	"gate.input_invalid" in {violation.code | some violation in violations}
}

test_a_place_occurs_once if {
	question := f.step(0, 5)
	"gate.input_invalid" in f.codes(f.set_fields(question, {"cells": array.concat(question.cells, question.cells)}))
}

test_each_moving_release_has_its_facts if {
	placing := f.question([f.place("local-a", f.cell(f.s, null, 0), f.cell(f.s, f.c, 0))])
	"gate.input_invalid" in f.codes(f.set_fields(placing, {"releases": {f.s: f.release}}))
	"gate.input_invalid" in f.codes(f.set_fields(placing, {"releases": {f.c: f.release}}))
	"gate.input_invalid" in f.codes(f.set_fields(f.step(0, 5), {"releases": {f.s: f.release}}))
}

test_the_facts_agree_on_what_is_first if {
	"gate.input_invalid" in f.codes(f.with_place(f.step(0, 5), {"first": true}))
	"gate.input_invalid" in f.codes(f.with_place(f.step(0, 5), {"standing": null}))
}

test_from_is_the_record if {
	"gate.input_invalid" in f.codes(f.with_place(f.step(0, 5), {"from": f.cell(f.s, f.c, 4)}))
	routed := {"from": f.cell(f.s, f.c, 4), "live": f.cell(f.s, f.c, 4)}
	"gate.input_invalid" in f.codes(f.with_place(f.step(0, 5), routed))
}

open_at(from, live) := f.with_place(f.step(0, 5), {
	"from": from,
	"live": live,
	"intent": {"from": f.cell(f.s, f.c, 0), "to": f.cell(f.s, f.c, 5)},
})

test_while_an_intent_is_open_from_is_what_is_live if {
	f.allowed(open_at(f.cell(f.s, f.c, 5), f.cell(f.s, f.c, 5)))
	f.allowed(open_at(f.cell(f.s, f.c, 0), null))
	"gate.input_invalid" in f.codes(open_at(f.cell(f.s, f.c, 5), null))
	"gate.input_invalid" in f.codes(open_at(null, null))
	"gate.input_invalid" in f.codes(open_at(f.cell(f.s, f.c, 0), f.cell(f.s, f.c, 5)))
}

test_a_weight_has_one_decimal_at_most if {
	every weight in [0.1, 0.3, 1.1, 2.3, 4.9, 5.0, 5] {
		f.allowed(f.step(0, weight))
	}
	every weight in [0.04, 0.15, 4.99, 1e-9] {
		f.codes(f.step(0, weight)) == {"gate.input_invalid"}
	}
	some message in f.messages(f.step(0, 4.99), "gate.input_invalid")
	message == "digits in local-a: green_weight has more than one decimal"
	tenths := [tenth | some tenth in numbers.range(0, 1000); round((tenth / 10) * 10) == (tenth / 10) * 10]
	count(tenths) == 1001
}

test_a_question_in_a_string_is_none if {
	f.codes(json.marshal(f.step(0, 5))) == {"gate.environment", "gate.input_invalid", "policy.data"}
}

test_no_log_knows_nothing if {
	absent := {"log": {"state": "absent", "size": 0}}
	first := f.question([f.first_place("local-a", f.cell(f.s, null, 0))])
	f.allowed(f.set_fields(first, absent))
	"gate.input_invalid" in f.codes(f.set_fields(f.step(0, 5), absent))
	unlogged := "digits in local-a: there is no log, so nothing can be recorded of it"
	every fields in [{"recorded": f.cell(f.s, null, 0)}, {"first": false}] {
		unlogged in f.messages(f.set_fields(f.with_place(first, fields), absent), "gate.input_invalid")
	}
}

test_what_does_not_move_needs_no_facts if {
	f.allowed(f.set_fields(f.step(5, 5), {"releases": {}}))
}
