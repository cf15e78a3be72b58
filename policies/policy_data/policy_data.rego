# METADATA
# title: The policy data is well formed
# description: |
#   Thresholds, freeze windows, people and keys of the environment have the shape of schema/environment.json and
#   schema/roles.json, where nothing unknown may stand, so that a typo cannot open the gate; the ladder ascends and
#   ends at 100; windows are days of the calendar and begin before they end; no key belongs to two people.
#   The people of local are keys of one checkout: they stand in data/local.json, which is no part of a bundle.
# custom:
#   code: policy.data
#   severity: error
#   remediation: Mend policies/data/rules.json or policies/data/roles.json, where the message points.
#   review_date: "2027-05-01"
#   controls: [SOC2-CC8.1, SOC2-CC6.1]
package lockstep.rules.policy.data

import data.lockstep.lib

looked := lib.looked

deny contains {
	"cell": "",
	"message": sprintf("the policy data is not well formed: %s", [problem]),
	"remedy": "mend policies/data/rules.json or roles.json; policies/schema says what they may hold",
} if {
	some problem in problems
}

problems contains sprintf("rules.json: %s", [found.error]) if {
	[false, errors] = json.match_schema(lib.settings, data.settings.environment_schema)
	some found in errors
}

problems contains sprintf("roles.json: %s", [found.error]) if {
	[false, errors] = json.match_schema(roles, data.settings.roles_schema)
	some found in errors
}

problems contains "the thresholds could not be compared with their schema" if not thresholds_compared

problems contains "the people could not be compared with their schema" if not people_compared

problems contains "the ladder does not ascend from rung to rung" if not ladder_ascends

problems contains "the ladder does not end at 100" if not ladder_ends

problems contains sprintf("the freeze window from %v to %v ends before it begins", [window.from, window.to]) if {
	some window in lib.settings.freeze_windows
	not window.from < window.to
}

problems contains sprintf("%v of a freeze window is no day of the calendar", [text]) if {
	some window in lib.settings.freeze_windows
	some text in {window.from, window.to}
	not is_day(text)
}

problems contains "one key belongs to two people" if {
	owners := [keyid | some person in roles.people; some keyid, _ in person.keys]
	count(owners) != count({keyid | some keyid in owners})
}

roles := data.settings.roles[input.environment]

# A string would be read as JSON, and no rule could see into it.
thresholds_compared if {
	is_object(lib.settings)
	json.match_schema(lib.settings, data.settings.environment_schema)
}

people_compared if input.environment == "local"

people_compared if {
	is_object(roles)
	json.match_schema(roles, data.settings.roles_schema)
}

ladder_ascends if lib.settings.ladder == sort({rung | some rung in lib.settings.ladder})

ladder_ends if lib.settings.ladder[count(lib.settings.ladder) - 1] == 100

# A day that the calendar does not have is carried over into the next month, and then is another day.
is_day(text) if {
	is_string(text)
	regex.match(`^20[0-9]{2}-[0-9]{2}-[0-9]{2}T`, text)
	year := to_number(substring(text, 0, 4))
	month := two_digits(text, 5)
	day := two_digits(text, 8)
	time.date(time.add_date(0, year - 1970, month - 1, day - 1)) == [year, month, day]
}

# A number with a leading zero is no JSON number.
two_digits(text, at) := to_number(concat("", ["1", substring(text, at, 2)])) - 100
