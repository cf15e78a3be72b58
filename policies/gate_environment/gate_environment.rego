# METADATA
# title: The environment is known and its thresholds are well formed
# description: |
#   A bundle carries the thresholds of the environments it may judge. An unknown environment, or thresholds that
#   do not have the shape of schema/environment.json, deny everything.
# custom:
#   code: gate.environment
#   severity: error
#   remediation: Name the environment in policies/data/rules.json, with every threshold.
#   review_date: "2027-05-01"
#   controls: [SOC2-CC8.1]
package lockstep.rules.gate.environment

import data.lockstep.lib

looked := lib.looked

deny contains {
	"cell": "",
	"message": sprintf("the policies have no well-formed thresholds for the environment %v", [environment]),
	"remedy": "see policies/data/rules.json and policies/schema/environment.json",
} if {
	not well_formed
}

default environment := "(none)"

environment := input.environment

well_formed if {
	[true, _] = json.match_schema(lib.settings, data.settings.environment_schema)
	max(lib.settings.ladder) == 100
}
