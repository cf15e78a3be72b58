# METADATA
# title: A slot with traffic keeps its release
# description: |
#   While a slot has share above 0, its release does not change: what gets traffic changes by weight only, so
#   that each step can be taken back. Withdrawing the whole cell by name is the one exception.
# custom:
#   code: slot.keeps_release
#   severity: error
#   remediation: Put the new release into the other slot, or shift this slot's traffic away first.
#   review_date: "2027-05-01"
#   controls: [SOC2-CC8.1]
package lockstep.rules.slot.keeps_release

import data.lockstep.lib

looked := lib.looked

deny contains {
	"cell": lib.id(cell),
	"message": sprintf("%s: slot %s gets %s of the traffic, so its release %s cannot be changed", [
		lib.name(cell),
		slot,
		lib.percent(lib.weight(cell.from, slot)),
		lib.short(digest),
	]),
	"remedy": "put the new release into the other slot at weight 0, then move the weight",
} if {
	some cell in lib.judged
	some slot in lib.slots
	digest := cell.from[slot]
	is_string(digest)
	not lib.weight(cell.from, slot) <= 0
	lib.is_placed(cell.to)
	not lib.holds(cell.to, slot, digest)
}
