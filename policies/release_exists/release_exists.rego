# METADATA
# title: A release is in the store
# description: Whatever a change places or gives more traffic must be in the release store.
# custom:
#   code: release.exists
#   severity: error
#   remediation: Name a digest that `./lockstep release list` shows, or build the release first.
#   review_date: "2027-05-01"
#   controls: [SLSA-L3-immutable-reference, ISO27001-A.8.32]
package lockstep.rules.release.exists

import data.lockstep.lib

looked := lib.looked

deny contains {
	"cell": lib.id(cell),
	"message": sprintf("%s: the release %s is not there: %s", [lib.name(cell), lib.short(digest), why(digest)]),
	"remedy": "./lockstep release list shows the digests that can be used; ./lockstep release build makes one",
} if {
	some cell in lib.judged
	some digest in (lib.placed(cell) | lib.rising(cell))
	not input.releases[digest].exists == true
}

why(digest) := lib.reason(sprintf("/releases/%s/exists", [digest]))
