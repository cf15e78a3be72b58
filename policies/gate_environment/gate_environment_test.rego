package lockstep_test.gate_environment

import data.lockstep_test.fixtures as f

judged_by(thresholds) := {violation.code |
	some violation in data.lockstep.violations with input as f.step(0, 5) with data.settings.environments as thresholds
}

test_a_known_environment_is_judged if {
	f.allowed(f.step(0, 5))
}

test_an_unknown_one_is_denied if {
	"gate.environment" in judged_by({})
	question := f.set_fields(f.step(0, 5), {"environment": "moon"})
	"gate.environment" in f.codes(question)
	f.messages(question, "gate.environment") == {"the policies have no data for the environment moon"}
}

test_missing_fact if {
	"gate.environment" in judged_by({"local": null})
	"gate.environment" in judged_by({"local": json.marshal(f.environments.local)})
	nameless := object.remove(f.step(0, 5), ["environment"])
	"gate.environment" in f.codes(nameless)
	f.messages(nameless, "gate.environment") == {"the policies have no data for the environment (none)"}
}
