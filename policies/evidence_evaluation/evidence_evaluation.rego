# METADATA
# title: A release has a signed evaluation above the floor
# description: |
#   Whatever a change places or gives more traffic has a valid, signed held-out evaluation, and its accuracy
#   is at least the environment's floor. A release that is in its slot already and only gets back what it had
#   (the standing release, the target of a recorded rollback) was judged when it was placed and is not asked
#   again: otherwise raising the floor or retiring a key would block the way back just when it is needed.
# custom:
#   code: evidence.evaluation
#   severity: error
#   remediation: Build and evaluate the release again with `./lockstep release build`.
#   review_date: "2027-05-01"
#   controls: [EU-AI-Act-Art.15, ISO42001-A.6.2.4]
package lockstep.rules.evidence.evaluation

import data.lockstep.lib

looked := lib.looked

deny contains {
	"cell": lib.id(cell),
	"message": sprintf("%s: the release %s has no valid signed evaluation: %s", [
		lib.name(cell),
		lib.short(digest),
		lib.reason(sprintf("/releases/%s/evaluation", [digest])),
	]),
	"remedy": "./lockstep release build evaluates a release; policies/data/roles.json says whose evaluation counts",
} if {
	some cell in lib.judged
	some digest in asked(cell)
	not input.releases[digest].exists == false # release.exists says so already
	not is_object(input.releases[digest].evaluation)
}

deny contains {
	"cell": lib.id(cell),
	"message": sprintf("%s: the release %s was right on %v of its held-out images; at least %v is asked for", [
		lib.name(cell),
		lib.short(digest),
		evaluation.accuracy,
		lib.settings.accuracy_floor,
	]),
	"remedy": "train a better release; the floor is accuracy_floor in policies/data/rules.json",
} if {
	some cell in lib.judged
	some digest in asked(cell)
	evaluation := input.releases[digest].evaluation
	not evaluation.accuracy >= lib.settings.accuracy_floor
}

asked(cell) := lib.placed(cell) | {digest | some digest in lib.rising(cell); not lib.goes_back(cell, digest)}
