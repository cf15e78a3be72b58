# METADATA
# title: A share rises by no more than the largest step
# description: The share of a release that is not standing rises by at most max_step percent points in one change.
# custom:
#   code: step.size
#   severity: error
#   remediation: Take a smaller step.
#   review_date: "2027-05-01"
#   controls: [ISO27001-A.8.32, SOC2-CC8.1]
package lockstep.rules.step.size

import data.lockstep.lib

looked := lib.looked

deny contains {
	"cell": lib.id(cell),
	"message": sprintf("%s: share of %s would rise from %s to %s; one step may add at most %v %%", [
		lib.name(cell),
		lib.short(digest),
		lib.percent(before),
		lib.percent(after),
		lib.settings.max_step,
	]),
	"remedy": sprintf("promote with --share %s", [lib.number(lib.next_share(before))]),
} if {
	some cell in lib.judged
	some digest in lib.bound(cell)
	before := lib.share(cell.from, digest)
	after := lib.share(cell.to, digest)
	not after - before <= round(lib.settings.max_step * 10)
}
