package lockstep_test.policy_data

import data.lockstep_test.fixtures as f

said(thresholds) := {violation.message |
	some violation in data.lockstep.violations with input as f.step(0, 5)
		with data.settings.environments as {"local": thresholds}
	violation.code == "policy.data"
}

changed(changes) := f.set_fields(f.environments.local, changes)

well_formed(thresholds) if count(said(thresholds)) == 0

says(thresholds, words) if {
	some message in said(thresholds)
	contains(message, words)
}

window(from, to) := changed({"freeze_windows": [{"from": from, "to": to, "reason": "year end"}]})

test_the_committed_data_is_well_formed if {
	every environment in object.keys(data.settings.environments) {
		codes := {violation.code |
			some violation in data.lockstep.violations with input as f.set_fields(f.step(0, 1), {"environment": environment})
		}
		codes == set()
	}
}

test_each_threshold_keeps_its_range if {
	every change in [
		{"max_step": 0.1},
		{"max_step": 100},
		{"ladder": [100]},
		{"ladder": [0.1, 99.9, 100]},
		{"regions_at_once": 1},
		{"accuracy_floor": 0},
		{"accuracy_floor": 1},
		{"probation_seconds": 0},
	] {
		well_formed(changed(change))
	}
	every change in [
		{"max_step": 0},
		{"max_step": 100.1},
		{"max_step": "50"},
		{"ladder": []},
		{"ladder": [0, 100]},
		{"ladder": [-5, 100]},
		{"ladder": ["5", 100]},
		{"ladder": "5, 100"},
		{"regions_at_once": 0},
		{"regions_at_once": 1.5},
		{"accuracy_floor": 1.01},
		{"accuracy_floor": -0.1},
		{"accuracy_floor": null},
		{"probation_seconds": -1},
		{"probation_seconds": null},
		{"freeze_windows": null},
	] {
		says(changed(change), "rules.json: ")
	}
}

test_the_ladder_ascends_to_the_top if {
	every ladder in [[5, 100, 25], [25, 5, 100], [5, 5, 100], [5, 100, 100], [5, 5.0, 100]] {
		says(changed({"ladder": ladder}), "the ladder does not ascend from rung to rung")
	}
	every ladder in [[5, 25], [99.9]] {
		says(changed({"ladder": ladder}), "the ladder does not end at 100")
		not says(changed({"ladder": ladder}), "does not ascend")
	}
	not says(changed({"ladder": [25, 5, 100]}), "does not end at 100")
}

test_a_number_is_the_same_however_it_is_written if {
	well_formed(changed({"ladder": [5.0, 2.5e1, 1e2]}))
}

test_a_typo_is_denied if {
	says(changed({"freeze_window": []}), "freeze_window ")
	says(object.union(object.remove(f.environments.local, ["freeze_windows"]), {"freeze_window": []}), "freeze_windows is required")
	misspelt := changed({"freeze_windows": [{
		"from": "2026-12-20T00:00:00Z",
		"till": "2027-01-02T00:00:00Z",
		"to": "2027-01-02T00:00:00Z",
		"reason": "year end",
	}]})
	says(misspelt, "till")
}

test_a_freeze_window_is_two_times_in_utc_and_a_reason if {
	well_formed(window("2026-12-20T00:00:00Z", "2027-01-02T00:00:00Z"))
	well_formed(window("2028-02-29T23:59:58Z", "2028-02-29T23:59:59Z"))
	every text in [
		"2026-12-20",
		"2026-12-20T00:00:00",
		"2026-12-20T00:00:00.5Z",
		"2026-12-20T00:00:00+01:00",
		"2026-12-20 00:00:00Z",
		"2026-12-20T24:00:00Z",
		"2026-12-20T00:60:00Z",
		" 2026-12-20T00:00:00Z",
	] {
		says(window(text, "2030-01-01T00:00:00Z"), "Does not match pattern")
	}
	says(changed({"freeze_windows": [{"from": "2026-12-20T00:00:00Z", "to": "2027-01-02T00:00:00Z", "reason": ""}]}), "reason")
	says(changed({"freeze_windows": ["always"]}), "Invalid type")
}

test_its_days_are_in_the_calendar if {
	every day in ["2026-02-29", "2100-02-29", "2026-04-31", "2026-12-32", "2026-13-01", "2026-00-10", "2026-01-00"] {
		time := sprintf("%sT12:00:00Z", [day])
		says(window(time, "2099-12-31T00:00:00Z"), sprintf("%s of a freeze window is no day of the calendar", [time]))
	}
	every day in ["2028-02-29", "2026-01-31", "2026-12-01", "2026-08-09", "2026-10-10"] {
		well_formed(window(sprintf("%sT12:00:00Z", [day]), "2099-12-31T00:00:00Z"))
	}
	says(window("2026-12-20T00:00:00Z", "2027-02-30T00:00:00Z"), "2027-02-30T00:00:00Z of a freeze window")
	says(window("1999-12-20T00:00:00Z", "2099-12-31T00:00:00Z"), "Does not match pattern")
	says(window("1999-12-20T00:00:00Z", "2099-12-31T00:00:00Z"), "1999-12-20T00:00:00Z of a freeze window is no day")
}

test_it_begins_before_it_ends if {
	words := "the freeze window from 2027-01-02T00:00:00Z to 2026-12-20T00:00:00Z ends before it begins"
	says(window("2027-01-02T00:00:00Z", "2026-12-20T00:00:00Z"), words)
	says(window("2026-12-20T00:00:00Z", "2026-12-20T00:00:00Z"), "ends before it begins")
}

keyid := concat("", [repeat | some _ in numbers.range(1, 64); repeat := "a"])

key := "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n"

person := {"roles": ["builder", "approver"], "keys": {keyid: key}}

# What is said about the people of an environment that is not local.
people(part) := {violation.message |
	some violation in data.lockstep.violations with input as f.set_fields(f.step(0, 5), {"environment": "prod"})
		with data.settings.environments as {"prod": f.environments.local}
		with data.settings.roles as part
	violation.code == "policy.data"
}

test_people_have_roles_and_keys if {
	people({"prod": {"people": {}}}) == set()
	people({"prod": {"people": {"ann": person, "bob": {"roles": [], "keys": {}}}}}) == set()
	every wrong in [
		{"people": []},
		{"people": {}, "persons": {}},
		{"people": {"": person}},
		{"people": {"ann": object.remove(person, ["keys"])}},
		{"people": {"ann": object.remove(person, ["roles"])}},
		{"people": {"ann": object.union(person, {"admin": true})}},
		{"people": {"ann": {"roles": ["boss"], "keys": {}}}},
		{"people": {"ann": {"roles": "builder", "keys": {}}}},
		{"people": {"ann": {"roles": [], "keys": {"ann": key}}}},
		{"people": {"ann": {"roles": [], "keys": {keyid: "a key"}}}},
		{"people": {"ann": {"roles": [], "keys": {keyid: null}}}},
	] {
		some message in people({"prod": wrong})
		contains(message, "roles.json: ")
	}
}

test_a_key_has_one_owner if {
	twice := {"prod": {"people": {"ann": person, "bob": person}}}
	people(twice) == {"the policy data is not well formed: one key belongs to two people"}
	other := {"roles": [], "keys": {replace(keyid, "a", "b"): key}}
	people({"prod": {"people": {"ann": person, "bob": other}}}) == set()
}

test_the_people_of_local_are_not_in_a_bundle if {
	answer := data.lockstep.allow with input as f.step(0, 5)
		with data.settings.environments as f.environments
		with data.settings.roles as {}
	answer
}

unschemed(name) := problems if {
	problems := data.lockstep.rules.policy.data.problems with input as f.set_fields(f.step(0, 5), {"environment": "prod"})
		with data.settings as object.remove(data.settings, [name])
}

test_missing_fact if {
	every name in object.keys(f.environments.local) {
		says(object.remove(f.environments.local, [name]), sprintf("%s is required", [name]))
	}
	says(json.marshal(f.environments.local), "could not be compared with their schema")
	uncompared := "the policy data is not well formed: the people could not be compared with their schema"
	people({}) == {uncompared}
	people({"prod": json.marshal({"people": {}})}) == {uncompared}
	"the thresholds could not be compared with their schema" in unschemed("environment_schema")
	"the people could not be compared with their schema" in unschemed("roles_schema")
	bare := data.lockstep.rules.policy.data.problems with input as f.step(0, 5) with data.settings as {}
	"the thresholds could not be compared with their schema" in bare
	nobody := data.lockstep.rules.policy.data.problems with input as {} with data.settings as {}
	"the people could not be compared with their schema" in nobody
}
