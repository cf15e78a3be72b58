# METADATA
# title: What is live is what the record says
# description: |
#   While a gateway routes, or a service with traffic serves, something else than the newest outcome says, no
#   table but the recorded one is allowed, in any cell: that is the update which repairs it. While an intent is
#   open, a live cell may be as that intent found it or as it would leave it, and nothing else; declaring what
#   somebody routed by hand does not make it right.
#   A gateway or service that does not answer carries no traffic and disagrees with nothing.
# custom:
#   code: state.disagrees
#   severity: error
#   remediation: Bring the stack back to its record with `./lockstep up` before changing it.
#   review_date: "2027-05-01"
#   controls: [SOC2-CC7.2, SOC2-CC8.1]
package lockstep.rules.state.disagrees

import data.lockstep.lib

looked := lib.looked

deny contains {
	"cell": lib.id(cell),
	"message": sprintf("%s: the gateway routes %s, but the record says %s", [
		lib.name(cell),
		json.marshal(cell.live),
		json.marshal(cell.recorded),
	]),
	"remedy": "./lockstep up with the recorded table repairs it; ./lockstep status shows both",
} if {
	not repairs
	some cell in input.cells
	not live_agrees(cell)
}

deny contains {
	"cell": lib.id(cell),
	"message": sprintf("%s: the service in slot %s serves %s, but the record says %s", [
		lib.name(cell),
		slot,
		lib.short(cell.serving[slot]),
		lib.short(digest),
	]),
	"remedy": "./lockstep up with the recorded table restarts it; ./lockstep status shows both",
} if {
	not repairs
	some cell in input.cells
	some slot in lib.slots
	digest := cell.from[slot]
	is_string(digest)
	not lib.weight(cell.from, slot) <= 0
	not serves(cell, slot, digest)
}

# The declared table is the recorded one, in every cell.
repairs if {
	every cell in input.cells {
		cell.to == cell.recorded
	}
}

live_agrees(cell) if cell.live == null

live_agrees(cell) if {
	cell.intent == null
	cell.live == cell.recorded
}

live_agrees(cell) if cell.live == cell.intent.from

live_agrees(cell) if cell.live == cell.intent.to

serves(cell, slot, _) if cell.serving[slot] == null

serves(cell, slot, digest) if cell.serving[slot] == digest
