# METADATA
# title: Words about cells and shares, used by the rules
# description: |
#   Shares are whole tenths of a percent (0 to 1000), so that no rule compares binary fractions.
#   A cell may be null (no such cell), withdrawn, or placed; each function says what it is undefined for.
#   Rules are written so that what is undefined denies: they deny unless something positive holds. Mind that
#   OPA evaluates the parts of an expression before its `not`: around an undefined part `not` is undefined, not
#   true. So `not` stands only before a rule, a function, or values that schema and gate.environment guarantee.
package lockstep.lib

slots := {"blue", "green"}

full := 1000

# The thresholds of the environment that the question is about; undefined for an unknown one.
settings := data.settings.environments[input.environment]

# How a place is named in records and in sentences.
id(cell) := concat("/", [cell.model, cell.region])

name(cell) := concat(" in ", [cell.model, cell.region])

short(digest) := "nothing" if {
	digest == null
} else := substring(digest, 0, 19)

percent(tenths) := sprintf("%v %%", [tenths / 10])

number(tenths) := sprintf("%v", [tenths / 10])

# Why a fact is null.
reason(pointer) := object.get(input.reasons, [pointer], "no reason was given")

is_placed(cell) if is_number(cell.green_weight)

is_withdrawn(cell) if is_string(cell.withdraw)

# A placed cell in which no release is yet, declared without any weight.
is_vacant(cell) if {
	cell.blue == null
	cell.green == null
	cell.green_weight == 0
}

# True where the slot of a placed cell has this release; undefined for everything else.
holds(cell, slot, digest) if cell[slot] == digest

# The share that a slot of a placed cell gets, whether or not a release is in it.
weight(cell, "green") := round(cell.green_weight * 10)

weight(cell, "blue") := full - round(cell.green_weight * 10)

# The share of a release, whatever its slot; 0 where it is not, and for no cell.
share(cell, digest) := sum([weight(cell, slot) | some slot in slots; holds(cell, slot, digest)])

releases_in(cell) := {cell[slot] | some slot in slots; is_string(cell[slot])}

# The cells that this decision is about: those that change, and those where a mark would be made.
judged contains cell if {
	some cell in input.cells
	cell.from != cell.to
}

judged contains cell if {
	some mark in input.marks
	some cell in input.cells
	cell.model == mark.model
	cell.region == mark.region
}

changed := {id(cell) | some cell in judged; cell.from != cell.to}

# What a rule reports that it looked at.
looked := {id(cell) | some cell in judged}

# Releases that a change puts into a slot of a cell where they were not.
placed(cell) := {digest |
	some slot in slots
	digest := cell.to[slot]
	is_string(digest)
	not holds(cell.from, slot, digest)
}

# Releases whose share goes up.
rising(cell) := {digest |
	some digest in releases_in(cell.to)
	share(cell.to, digest) > share(cell.from, digest)
}

# Rises that ladder, step size, one-region-at-a-time and readiness bind: all but those of a first
# placement, of the standing release, and towards the target of a recorded rollback.
bound(cell) := {digest |
	some digest in rising(cell)
	not free(cell, digest)
}

free(cell, _) if is_first(cell)

free(cell, digest) if goes_back(cell, digest)

# Both facts must say so: a standing mark that went missing must not set a candidate free.
is_first(cell) if {
	cell.first == true
	cell.standing == null
}

goes_back(cell, digest) if cell.standing == digest

goes_back(cell, digest) if rolls_back(cell, digest)

# A rollback record sets a release free only as far as its target goes, and only where that target is
# what the log itself says there is to go back to. The record alone is not believed.
rolls_back(cell, digest) if {
	target := input.rollback.target[cell.model][cell.region]
	share(cell.to, digest) <= share(target, digest)
	share(target, digest) <= way_back(cell, digest)
}

way_back(cell, digest) := share(cell.base, digest) if is_placed(cell.base)

way_back(cell, digest) := full if {
	cell.base == null
	cell.former == digest
}

# The largest share that a bound rise may have after this step.
next_share(before) := min({rung(before), before + round(settings.max_step * 10)})

rung(before) := min({above |
	some step in settings.ladder
	above := round(step * 10)
	above > before
})
