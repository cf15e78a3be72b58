# METADATA
# title: A release that was rolled back from stays out until it is retried
# description: Placing a barred digest or raising its share is denied; lying in its slot at 0 is not.
# custom:
#   code: release.barred
#   severity: error
#   remediation: Record why it may come back with `./lockstep retry`, or promote another release.
#   review_date: "2027-05-01"
#   controls: [SOC2-CC7.4, ISO27001-A.8.32]
package lockstep.rules.release.barred

import data.lockstep.lib

looked := lib.looked

deny contains {
	"cell": lib.id(cell),
	"message": sprintf("%s: %s was rolled back from and would be brought in again", [lib.name(cell), lib.short(digest)]),
	"remedy": sprintf("./lockstep retry %s --reason ... records why it may come back", [lib.short(digest)]),
} if {
	some cell in lib.judged
	some digest in (lib.placed(cell) | lib.rising(cell))
	not out_of_bar(digest)
}

out_of_bar(digest) if {
	is_array(input.barred)
	not digest in input.barred
}
