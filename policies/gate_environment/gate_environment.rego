# METADATA
# title: The environment is known to the bundle
# description: |
#   A bundle carries the policy data of the environments it may judge; any other environment denies everything.
#   That the data is well formed is policy.data.
# custom:
#   code: gate.environment
#   severity: error
#   remediation: Name the environment in policies/data/rules.json, or ask the OPA that judges it.
#   review_date: "2027-05-01"
#   controls: [SOC2-CC8.1]
package lockstep.rules.gate.environment

import data.lockstep.lib

looked := lib.looked

deny contains {
	"cell": "",
	"message": sprintf("the policies have no data for the environment %v", [environment]),
	"remedy": "see policies/data/rules.json; a bundle judges the environments that it was made for",
} if {
	not known
}

default environment := "(none)"

environment := input.environment

known if is_object(lib.settings)
