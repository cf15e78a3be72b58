# METADATA
# title: The question is complete, typed, and agrees with itself
# description: |
#   The input has the shape of schema/input.json; each place occurs once; each release in a cell that is judged
#   has its facts; a mark is about a place that is there; a weight has one decimal at most; and `from` is what design.md
#   says it is: the newest outcome's cell, or, while an intent is open, the live one as far as that intent explains it.
# custom:
#   code: gate.input_invalid
#   severity: error
#   remediation: This is a fault of whoever asked, not of the change; report it with the input's digest.
#   review_date: "2027-05-01"
#   controls: [SOC2-CC7.2]
package lockstep.rules.gate.input_invalid

import data.lockstep.lib

looked := lib.looked

deny contains refusal("", sprintf("the input does not fit its schema: %s", [problem])) if {
	[false, errors] = json.match_schema(input, data.settings.input_schema)
	some found in errors
	problem := found.error
}

deny contains refusal("", "the input could not be compared with its schema") if {
	not compared
}

# A string would be read as JSON, and no rule could see into it.
compared if {
	is_object(input)
	json.match_schema(input, data.settings.input_schema)
}

deny contains refusal("", "a place occurs more than once") if {
	not count({lib.id(cell) | some cell in input.cells}) == count(input.cells)
}

deny contains refusal(lib.id(cell), sprintf("%s: there are no facts about %s", [lib.name(cell), lib.short(digest)])) if {
	some cell in lib.judged
	some digest in (lib.releases_in(cell.from) | lib.releases_in(cell.to))
	not input.releases[digest]
}

deny contains refusal("", sprintf("a mark is about %s in %s, which is not there", [mark.model, mark.region])) if {
	some mark in input.marks
	not concat("/", [mark.model, mark.region]) in {lib.id(cell) | some cell in input.cells}
}

deny contains refusal(lib.id(cell), sprintf("%s: the facts disagree on whether anything ever stood there", [lib.name(cell)])) if {
	some cell in input.cells
	not agree_on_first(cell)
}

deny contains refusal(lib.id(cell), sprintf("%s: the cell to start from is not what record and gateway say", [lib.name(cell)])) if {
	some cell in input.cells
	not starts_right(cell)
}

deny contains refusal(lib.id(cell), sprintf("%s: green_weight has more than one decimal", [lib.name(cell)])) if {
	some cell in lib.judged
	not round(cell.to.green_weight * 10) == cell.to.green_weight * 10
}

deny contains refusal(lib.id(cell), sprintf("%s: there is no log, so nothing can be recorded of it", [lib.name(cell)])) if {
	input.log.state == "absent"
	some cell in input.cells
	not unrecorded(cell)
}

refusal(cell, message) := {
	"cell": cell,
	"message": message,
	"remedy": "the facts were put together wrongly; nothing was changed. Run ./lockstep status, then try again",
}

agree_on_first(cell) if lib.is_first(cell)

agree_on_first(cell) if {
	cell.first == false
	is_string(cell.standing)
}

starts_right(cell) if {
	cell.intent == null
	cell.from == cell.recorded
}

starts_right(cell) if {
	cell.live == null
	cell.from == cell.recorded
}

starts_right(cell) if {
	is_object(cell.intent)
	cell.live != null
	cell.from == cell.live
}

unrecorded(cell) if {
	cell.recorded == null
	cell.first == true
}
