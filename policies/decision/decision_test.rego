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
