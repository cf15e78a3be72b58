package lockstep_test.decision

import data.lockstep_test.fixtures as f

test_the_whole_answer if {
	answer := data.lockstep.decision with input as f.step(0, 5) with data.settings.environments as f.environments
	object.keys(answer) == {"allow", "violations", "looked", "revision"}
	answer.allow == true
	answer.violations == set()
	answer.revision == data.settings.revision
	object.keys(answer.looked) == {code | some code in data.settings.expected}
	answer.looked["step.size"] == 1
}

test_a_denial_has_all_its_words if {
	answer := data.lockstep.decision with input as f.step(5, 80) with data.settings.environments as f.environments
	answer.allow == false
	every violation in answer.violations {
		object.keys(violation) == {"code", "cell", "message", "remedy"}
		every word in violation {
			is_string(word)
		}
	}
}

test_an_unchanged_table_is_allowed if {
	f.allowed(f.step(5, 5))
}

test_a_rule_that_was_not_loaded_denies if {
	more := array.concat(data.settings.expected, ["moon.phase"])
	violations := data.lockstep.violations with input as f.step(0, 5)
		with data.settings.environments as f.environments
		with data.settings.expected as more
	{violation.code | some violation in violations} == {"gate.rules_missing"}
	some violation in violations
	contains(violation.message, "missing: moon.phase; not expected: none")
	not data.lockstep.allow with input as f.step(0, 5)
		with data.settings.environments as f.environments
		with data.settings.expected as more
}

test_a_rule_that_nobody_expects_denies if {
	fewer := [code | some code in data.settings.expected; code != "step.size"]
	violations := data.lockstep.violations with input as f.step(0, 5)
		with data.settings.environments as f.environments
		with data.settings.expected as fewer
	{violation.code | some violation in violations} == {"gate.rules_missing"}
}

test_a_rule_that_looked_at_nothing_denies if {
	violations := data.lockstep.violations with input as f.step(0, 5)
		with data.settings.environments as f.environments
		with data.lockstep.rules.step.size.looked as set()
	{violation.code | some violation in violations} == {"gate.nothing_looked_at"}
}

test_another_bundle_denies if {
	f.codes(f.set_fields(f.step(0, 5), {"bundle": {"revision": "checkout:feedfeedfeedfeed"}})) == {"gate.wrong_bundle"}
}

test_missing_fact if {
	not data.lockstep.allow with input as f.step(0, 5) with data.settings as {}
	not data.lockstep.allow with input as {}
	not data.lockstep.allow
}

# The verdict does not lean on the violations alone.
test_without_every_rule_or_a_revision_nothing_is_allowed if {
	silent := set()
	fewer := [code | some code in data.settings.expected; code != "step.size"]
	data.lockstep.allow with input as f.step(0, 5) with data.lockstep.violations as silent
	not data.lockstep.allow with input as f.step(0, 5)
		with data.lockstep.violations as silent
		with data.settings.expected as fewer
	not data.lockstep.allow with input as f.step(0, 5)
		with data.lockstep.violations as silent
		with data.settings.revision as 5
}

# --- shapes of a table

looked_at(question) := number if {
	answer := data.lockstep.decision with input as question with data.settings.environments as f.environments
	answer.allow
	number := answer.looked["step.size"]
}

test_a_weight_is_the_same_however_it_is_written if {
	every weight in [1e2, 100.0, 10.0e1] {
		f.allowed(f.step(50, weight))
		looked_at(f.step(100, weight)) == 0
	}
	nothing := json.unmarshal("-0.0")
	f.allowed(f.step(nothing, 5))
	looked_at(f.step(0, nothing)) == 0
	f.codes(f.step(nothing, 1e2)) == {"step.ladder", "step.size"}
}

test_the_same_release_in_both_slots_moves_by_weight_without_rising if {
	standing := f.set_fields(f.place("local-a", f.cell(f.s, f.s, 0), f.cell(f.s, f.s, 100)), {"standing": f.s})
	f.allowed(f.question([standing]))
	candidate := f.place("local-a", f.cell(f.c, f.c, 0), f.cell(f.c, f.c, 100))
	f.allowed(f.question([candidate]))
}

test_a_candidate_does_not_rise_by_lying_in_both_slots if {
	spread := f.place("local-a", f.cell(f.s, f.c, 0), f.cell(f.c, f.c, 0))
	f.codes(f.question([spread])) == {
		"candidate.not_ready",
		"slot.keeps_release",
		"step.ladder",
		"step.size",
		"table.third_release",
	}
}

of_letters(cell) := f.set_fields(cell, {"model": "letters"})

test_models_are_judged_each_for_itself if {
	resting := f.cell(f.s, f.c, 0)
	rising := f.cell(f.s, f.c, 5)
	digits := f.place("local-a", resting, rising)
	elsewhere := of_letters(f.place("local-z", resting, rising))
	f.allowed(f.question([digits, elsewhere]))
	looked_at(f.question([digits, elsewhere])) == 2
	too_far := of_letters(f.place("local-z", resting, f.cell(f.s, f.c, 80)))
	f.codes(f.question([digits, too_far])) == {"step.ladder", "step.size"}
	f.messages(f.question([digits, too_far]), "step.size") == {sprintf(
		"letters in local-z: share of %s would rise from 0 %% to 80 %%; one step may add at most 50 %%",
		["sha256:b2b2b2b2b2b2"],
	)}
}

test_a_region_of_one_model_is_no_place_of_the_other if {
	known := f.place("local-a", f.cell(f.s, f.c, 0), f.cell(f.s, f.c, 0))
	first := of_letters(f.first_place("local-z", f.cell(f.t, null, 0)))
	letters := f.with_release(f.question([known, first]), f.t, {"model": "letters"})
	f.allowed(letters)
	f.codes(f.question([known, first])) == {"release.model"}
	lost := f.set_fields(letters, {"marks": [{"model": "digits", "region": "local-z", "digest": f.t}]})
	f.codes(lost) == {"gate.input_invalid", "stand.probation"}
}
