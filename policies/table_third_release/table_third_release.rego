# METADATA
# title: The standing release stays in its slot until another one stands
# description: |
#   The standing release is the place to go back to. During a promotion, and during the probation of a candidate
#   that has all of the traffic, it stays warm in its slot at whatever share, and a third release cannot take it.
#   Once the candidate is marked standing, the former release's slot is free.
# custom:
#   code: table.third_release
#   severity: error
#   remediation: Wait for the probation to end, or use the candidate's slot.
#   review_date: "2027-05-01"
#   controls: [SOC2-A1.2, SOC2-CC7.5]
package lockstep.rules.table.third_release

import data.lockstep.lib

looked := lib.looked

deny contains {
	"cell": lib.id(cell),
	"message": sprintf("%s: %s is the standing release, the place to go back to, and would leave its slot", [
		lib.name(cell),
		lib.short(cell.standing),
	]),
	"remedy": "wait until the candidate has stood its probation and ./lockstep up has marked it, or roll back first",
} if {
	some cell in lib.judged
	cell.standing in lib.releases_in(cell.from)
	lib.is_placed(cell.to)
	not cell.standing in lib.releases_in(cell.to)
}
