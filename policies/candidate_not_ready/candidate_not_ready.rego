# METADATA
# title: A candidate was ready before it gets traffic
# description: |
#   A release that is not standing gets more share only in a slot where the newest outcome says that this very
#   release lies and was ready. Placing it at 0 and shifting traffic to it are therefore two changes.
# custom:
#   code: candidate.not_ready
#   severity: error
#   remediation: Place the release at share 0, let the update complete, then promote it.
#   review_date: "2027-05-01"
#   controls: [SOC2-CC8.1]
package lockstep.rules.candidate.not_ready

import data.lockstep.lib

looked := lib.looked

deny contains {
	"cell": lib.id(cell),
	"message": sprintf("%s: %s would get traffic in slot %s, but %s", [
		lib.name(cell),
		lib.short(digest),
		slot,
		why(cell, slot, digest),
	]),
	"remedy": "place it at share 0 first and wait until ./lockstep status shows it ready",
} if {
	some cell in lib.judged
	some digest in lib.bound(cell)
	some slot in lib.slots
	lib.holds(cell.to, slot, digest)
	not was_ready(cell, slot, digest)
}

was_ready(cell, slot, digest) if {
	lib.holds(cell.recorded, slot, digest)
	cell.ready[slot] == true
}

why(cell, slot, digest) := "the newest outcome does not say that it lies there" if {
	not lib.holds(cell.recorded, slot, digest)
} else := "the newest outcome says that it was not ready" if {
	cell.ready[slot] == false
} else := "the newest outcome does not say whether it was ready"
