# METADATA
# title: A model or region leaves only after it was withdrawn by name
# description: |
#   A cell is first declared as `withdraw: <digest of its standing release>`; only when that is recorded may its
#   keys go. A withdrawal that names another release is a misunderstanding about what is running and is denied.
#   Where nothing ever stood (a first placement that did not complete), a release that lies there is named.
# custom:
#   code: table.withdraw_first
#   severity: error
#   remediation: Use `./lockstep withdraw`, which does both updates.
#   review_date: "2027-05-01"
#   controls: [SOC2-CC8.1, SOC2-A1.2]
package lockstep.rules.table.withdraw_first

import data.lockstep.lib

looked := lib.looked

deny contains {
	"cell": lib.id(cell),
	"message": sprintf("%s: the cell is still in use and would vanish from the table", [lib.name(cell)]),
	"remedy": sprintf("declare it as withdraw: %s first, or run ./lockstep withdraw", [there(cell)]),
} if {
	some cell in lib.judged
	cell.to == null
	not lib.is_withdrawn(cell.from)
}

deny contains {
	"cell": lib.id(cell),
	"message": sprintf("%s: the withdrawal names %s, but what stands there is %s", [
		lib.name(cell),
		lib.short(named),
		there(cell),
	]),
	"remedy": "name the standing release that ./lockstep status shows",
} if {
	some cell in lib.judged
	named := cell.to.withdraw
	not names_what_is_there(cell)
}

deny contains {
	"cell": lib.id(cell),
	"message": sprintf("%s: a withdrawal changes nothing but withdrawn cells, and this one would be placed", [lib.name(cell)]),
	"remedy": "place releases in an update of their own",
} if {
	input.kind == "withdraw"
	some cell in lib.judged
	lib.is_placed(cell.to)
}

names_what_is_there(cell) if cell.to.withdraw == cell.standing

names_what_is_there(cell) if {
	lib.is_first(cell)
	cell.to.withdraw in lib.releases_in(cell.from)
}

names_what_is_there(cell) if {
	lib.is_first(cell)
	cell.to.withdraw == cell.from.withdraw
}

there(cell) := lib.short(cell.standing) if is_string(cell.standing)

there(cell) := concat(" or ", sort({lib.short(digest) | some digest in lib.releases_in(cell.from)})) if {
	cell.standing == null
}
