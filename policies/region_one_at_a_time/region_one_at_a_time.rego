# METADATA
# title: One region rises at a time
# description: In one change the share of releases that are not standing rises in at most regions_at_once regions of a model.
# custom:
#   code: region.one_at_a_time
#   severity: error
#   remediation: Promote one region, look at it, then promote the next.
#   review_date: "2027-05-01"
#   controls: [SOC2-CC8.1, SOC2-A1.2]
package lockstep.rules.region.one_at_a_time

import data.lockstep.lib

looked := lib.looked

deny contains {
	"cell": lib.id(cell),
	"message": sprintf("%s would rise together with other regions (%s); %v may rise in one change", [
		lib.name(cell),
		concat(", ", sort(regions)),
		lib.settings.regions_at_once,
	]),
	"remedy": "promote with --region, one region after the other",
} if {
	some cell in lib.judged
	count(lib.bound(cell)) > 0
	regions := rising_regions(cell.model)
	not count(regions) <= lib.settings.regions_at_once
}

rising_regions(model) := {cell.region |
	some cell in lib.judged
	cell.model == model
	count(lib.bound(cell)) > 0
}
