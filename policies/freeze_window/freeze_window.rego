# METADATA
# title: Nothing new rises while a freeze window is in force
# description: |
#   While a window of freeze_windows is in force, the share of a release that is not standing does not rise. A window
#   begins with its `from` and is over at its `to`. First placements, steps towards the standing release, recorded
#   rollbacks, withdrawals and placing at 0 are free: a freeze must never block the way back.
# custom:
#   code: freeze.window
#   severity: error
#   remediation: Wait until the window is over, or end it with a recorded change of the policy data.
#   review_date: "2027-05-01"
#   controls: [SOC2-CC8.1, ISO27001-A.8.32]
package lockstep.rules.freeze.window

import data.lockstep.lib

looked := lib.looked

deny contains {
	"cell": lib.id(cell),
	"message": sprintf("%s: the share of %s cannot rise before %s: %s", [
		lib.name(cell),
		concat(", ", sort({lib.short(digest) | some digest in lib.bound(cell)})),
		opens,
		concat("; ", sort(reasons)),
	]),
	"remedy": sprintf("promote it after %s; rolling back is free of the freeze", [opens]),
} if {
	some cell in lib.judged
	count(lib.bound(cell)) > 0
	count(reasons) > 0
}

deny contains {
	"cell": lib.id(cell),
	"message": sprintf("%s: whether a freeze window is in force cannot be said", [lib.name(cell)]),
	"remedy": "see freeze_windows in policies/data/rules.json, and the clock of whoever asked",
} if {
	some cell in lib.judged
	count(lib.bound(cell)) > 0
	not known
}

# Times are UTC to the second, all of one length, so that their order as strings is their order in time.
now := instant(input.now)

instant(text) := substring(text, 0, 19) if is_string(text)

in_force(window, at) if {
	instant(window.from) <= at
	at < instant(window.to)
}

reasons := {window.reason |
	some window in lib.settings.freeze_windows
	in_force(window, now)
}

# The first end from here on that lies in no other window.
opens := min({window.to |
	some window in lib.settings.freeze_windows
	instant(window.to) > now
	not frozen(instant(window.to))
})

frozen(at) if {
	some window in lib.settings.freeze_windows
	in_force(window, at)
}

known if {
	is_string(now)
	is_array(lib.settings.freeze_windows)
}
