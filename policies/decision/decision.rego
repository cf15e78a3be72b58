# METADATA
# title: May this change happen?
# description: |
#   Gathers what every loaded rule says. Rules are found, not listed: each package lockstep.rules.<area>.<name>
#   is one, and its code is <area>.<name>. `allow` is true only if no rule denies, every rule that is expected was
#   loaded and answered, and each of them looked at every cell that would change.
# scope: subpackages
# schemas:
#   - input: schema.input
package lockstep

import data.lockstep.lib

# The bundle that answers; a caller compares it with the one it asked.
revision := data.settings.revision

default allow := false

allow if {
	count(violations) == 0
	object.keys(looked) == expected
	is_string(revision)
}

decision := {
	"allow": allow,
	"violations": violations,
	"looked": looked,
	"revision": revision,
}

expected := {code | some code in data.settings.expected}

# Rule code -> how many cells it looked at.
looked[code] := count(cells) if {
	some area, name
	cells := data.lockstep.rules[area][name].looked
	code := concat(".", [area, name])
}

violations contains object.union(denial, {"code": concat(".", [area, name])}) if {
	some area, name
	some denial in data.lockstep.rules[area][name].deny
}

# METADATA
# title: The loaded rules are the expected ones
# description: OPA answers without a word for a package that was not loaded; so the set of rules is compared with data/expected.json.
# custom:
#   code: gate.rules_missing
#   severity: error
#   remediation: Load the whole bundle; a new rule's code goes into policies/data/expected.json.
#   review_date: "2027-05-01"
#   controls: [SOC2-CC8.1]
violations contains {
	"code": "gate.rules_missing",
	"cell": "",
	"message": sprintf("the loaded rules are not the expected ones; missing: %s; not expected: %s", [
		listed(expected - object.keys(looked)),
		listed(object.keys(looked) - expected),
	]),
	"remedy": "load the whole bundle; policies/data/expected.json lists its rules",
} if {
	not object.keys(looked) == expected
}

# METADATA
# title: Every rule looked at every cell that would change
# description: A rule that looked at nothing has nothing to say; its silence must not count as consent.
# custom:
#   code: gate.nothing_looked_at
#   severity: error
#   remediation: This is a fault of a rule or of whoever asked; report it with the input's digest.
#   review_date: "2027-05-01"
#   controls: [SOC2-CC7.2]
violations contains {
	"code": "gate.nothing_looked_at",
	"cell": "",
	"message": sprintf("%s looked at %d of the %d cells that would change", [code, number, count(lib.changed)]),
	"remedy": "report it: a rule does not see the change it should judge",
} if {
	some code, number in looked
	not number >= count(lib.changed)
}

# METADATA
# title: The bundle that answers is the bundle that was asked
# description: Another process, an older or a foreign bundle must not answer in this one's place.
# custom:
#   code: gate.wrong_bundle
#   severity: error
#   remediation: Ask the OPA that has the bundle this stack is judged by.
#   review_date: "2027-05-01"
#   controls: [SOC2-CC8.1]
violations contains {
	"code": "gate.wrong_bundle",
	"cell": "",
	"message": sprintf("the bundle that answers is %v, but %v was asked", [revision, input.bundle.revision]),
	"remedy": "point the stack at the OPA that has its bundle",
} if {
	not input.bundle.revision == revision
}

listed(codes) := "none" if count(codes) == 0

listed(codes) := concat(", ", sort(codes)) if count(codes) > 0
