# METADATA
# title: A release stands only after its probation
# description: |
#   A release is marked standing at once by a first placement and by a completed rollback. Any other must have
#   had all of the traffic for probation_seconds, must have it now, must not be barred, and nothing may move in
#   the same change. Every refusal has this one code, because a mark that is not due denies nothing else.
# custom:
#   code: stand.probation
#   severity: error
#   remediation: Wait until the probation is over, then run `./lockstep up`.
#   review_date: "2027-05-01"
#   controls: [SOC2-CC8.1, ISO42001-A.6.2.5]
package lockstep.rules.stand.probation

import data.lockstep.lib

looked := lib.looked

deny contains {
	"cell": concat("/", [mark.model, mark.region]),
	"message": sprintf("%s in %s: %s cannot be marked standing: %s", [
		mark.model,
		mark.region,
		lib.short(mark.digest),
		why(mark),
	]),
	"remedy": "run ./lockstep up when it has had all of the traffic for the whole probation",
} if {
	some mark in input.marks
	not may_stand(mark)
}

deny contains {
	"cell": lib.id(cell),
	"message": sprintf("%s: marking a release standing moves nothing, but this cell would change", [lib.name(cell)]),
	"remedy": "change the table in an update of its own",
} if {
	input.kind == "stand"
	some cell in lib.judged
	lib.id(cell) in lib.changed
}

deny contains {
	"cell": "",
	"message": "the question is about standing, but names no release that would be marked",
	"remedy": "ask with the marks that would be made",
} if {
	input.kind == "stand"
	not count(input.marks) > 0
}

place(mark) := cell if {
	some cell in input.cells
	cell.model == mark.model
	cell.region == mark.region
}

# A first placement.
may_stand(mark) if {
	input.kind == "step"
	cell := place(mark)
	lib.is_first(cell)
	lib.share(cell.to, mark.digest) > 0
}

# A completed rollback.
may_stand(mark) if {
	input.kind == "step"
	cell := place(mark)
	lib.share(cell.to, mark.digest) == lib.full
	lib.rolls_back(cell, mark.digest)
}

# A probation that is over.
may_stand(mark) if {
	input.kind == "stand"
	has_all(mark)
	not mark.digest in input.barred
	served(mark) >= lib.settings.probation_seconds
}

has_all(mark) if {
	cell := place(mark)
	lib.share(cell.from, mark.digest) == lib.full
	cell.live == cell.recorded
	every slot in lib.slots {
		shows(cell, slot, mark.digest)
	}
}

# The same release may lie in both slots; each that has traffic must serve it.
shows(cell, slot, _) if lib.weight(cell.from, slot) <= 0

shows(cell, slot, digest) if cell.serving[slot] == digest

# Seconds since the release got all of the traffic.
served(mark) := (time.parse_rfc3339_ns(input.now) - time.parse_rfc3339_ns(place(mark).at_full_since)) / 1000000000

why(mark) := "there is nothing to judge it by" if {
	not place(mark)
} else := "it is neither a first placement nor the completed target of a rollback" if {
	input.kind != "stand"
} else := "it was rolled back from" if {
	mark.digest in input.barred
} else := "gateway and service must show now that it has all of the traffic, and do not" if {
	not has_all(mark)
} else := "since when it has had all of the traffic is not known" if {
	place(mark).at_full_since == null
} else := sprintf("it has had all of the traffic for %d s of %v s", [floor(served(mark)), lib.settings.probation_seconds])
