# METADATA
# title: A slot without a release has no weight
# description: |
#   Weight on an empty slot would send that part of the traffic nowhere. A cell that is vacant, both slots empty and
#   green_weight 0, serves nobody yet and answers 404; that a slot with traffic is not emptied is slot.keeps_release.
# custom:
#   code: slot.empty_weight
#   severity: error
#   remediation: Give the slot a release, or give its weight to the other slot.
#   review_date: "2027-05-01"
#   controls: [SOC2-A1.2]
package lockstep.rules.slot.empty_weight

import data.lockstep.lib

looked := lib.looked

deny contains {
	"cell": lib.id(cell),
	"message": sprintf("%s: slot %s holds no release but would get %s of the traffic", [
		lib.name(cell),
		slot,
		lib.percent(lib.weight(cell.to, slot)),
	]),
	"remedy": "set green_weight so that only slots with a release get traffic, or withdraw the cell",
} if {
	some cell in lib.judged
	not lib.is_vacant(cell.to)
	some slot in lib.slots
	cell.to[slot] == null
	not lib.weight(cell.to, slot) <= 0
}
