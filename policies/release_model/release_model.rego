# METADATA
# title: A release belongs to the model whose cell it is placed in
# description: A digest of another model, pasted into the wrong place, must not answer for this one.
# custom:
#   code: release.model
#   severity: error
#   remediation: Use a release of the model that the cell is for.
#   review_date: "2027-05-01"
#   controls: [ISO27001-A.8.32]
package lockstep.rules.release.model

import data.lockstep.lib

looked := lib.looked

deny contains {
	"cell": lib.id(cell),
	"message": sprintf("%s: the release %s is not known to be a release of %s, but of: %s", [
		lib.name(cell),
		lib.short(digest),
		cell.model,
		model(digest),
	]),
	"remedy": sprintf("./lockstep release list shows the releases of %s", [cell.model]),
} if {
	some cell in lib.judged
	some digest in lib.placed(cell)
	not input.releases[digest].exists == false # release.exists says so already
	not input.releases[digest].model == cell.model
}

model(digest) := name if {
	name := input.releases[digest].model
	is_string(name)
} else := lib.reason(sprintf("/releases/%s/model", [digest]))
