# METADATA
# title: A share climbs the ladder rung by rung
# description: |
#   The share of a release that is not standing lands at or below the next rung above its present share.
#   Ending below the next rung is allowed, so a step may be smaller than the ladder's.
# custom:
#   code: step.ladder
#   severity: error
#   remediation: Go to the next rung first.
#   review_date: "2027-05-01"
#   controls: [ISO27001-A.8.32, SOC2-CC8.1]
package lockstep.rules.step.ladder

import data.lockstep.lib

looked := lib.looked

deny contains {
	"cell": lib.id(cell),
	"message": sprintf("%s: share of %s would go from %s to %s; the next allowed step is %s", [
		lib.name(cell),
		lib.short(digest),
		lib.percent(before),
		lib.percent(after),
		lib.percent(lib.next_share(before)),
	]),
	"remedy": sprintf("promote with --share %s", [lib.number(lib.next_share(before))]),
} if {
	some cell in lib.judged
	some digest in lib.bound(cell)
	before := lib.share(cell.from, digest)
	after := lib.share(cell.to, digest)
	not after <= lib.rung(before)
}
