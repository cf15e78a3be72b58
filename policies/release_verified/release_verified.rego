# METADATA
# title: A release is byte for byte what its digest names
# description: |
#   Every blob of a release that a change places or gives more traffic was hashed just now and matches.
#   This binds the standing release too: bytes that do not verify get no more traffic, whatever their name.
#   A release that loses traffic is not looked at, so that a damaged candidate can always be taken out.
# custom:
#   code: release.verified
#   severity: error
#   remediation: Restore the damaged blob from a copy of the store, or build the release again.
#   review_date: "2027-05-01"
#   controls: [SLSA-L3-integrity, ISO27001-A.8.24]
package lockstep.rules.release.verified

import data.lockstep.lib

looked := lib.looked

deny contains {
	"cell": lib.id(cell),
	"message": sprintf("%s: the release %s does not verify: %s", [lib.name(cell), lib.short(digest), why(digest)]),
	"remedy": sprintf("./lockstep release verify %s names the damaged part; then build the release again", [lib.short(digest)]),
} if {
	some cell in lib.judged
	some digest in (lib.placed(cell) | lib.rising(cell))
	not input.releases[digest].exists == false # release.exists says so already
	not input.releases[digest].verified == true
}

why(digest) := lib.reason(sprintf("/releases/%s/verified", [digest]))
