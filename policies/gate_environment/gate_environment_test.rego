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
	"gate.environment" in f.codes(f.set_fields(f.step(0, 5), {"environment": "moon"}))
}

test_ill_formed_thresholds_are_denied if {
	every change in [
		{"max_step": "50"},
		{"ladder": []},
		{"ladder": [5, 25]},
		{"regions_at_once": 0},
		{"accuracy_floor": 2},
		{"accuracy_flor": 0.9},
		{"probation_seconds": null},
	] {
		"gate.environment" in judged_by({"local": object.union(f.environments.local, change)})
	}
}

test_missing_fact if {
	every name in object.keys(f.environments.local) {
		"gate.environment" in judged_by({"local": object.remove(f.environments.local, [name])})
	}
	"gate.environment" in f.codes(object.remove(f.step(0, 5), ["environment"]))
}
