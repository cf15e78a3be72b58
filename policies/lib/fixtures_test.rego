# Questions for the tests of the rules: a good one, and ways to change it in one place.
package lockstep_test.fixtures

# The release that stands, the candidate, and a third one.
s := sprintf("sha256:%s", [repeat("a1")])

c := sprintf("sha256:%s", [repeat("b2")])

t := sprintf("sha256:%s", [repeat("c3")])

repeat(pair) := concat("", [pair | some _ in numbers.range(1, 32)])

environments := {"local": {
	"max_step": 50,
	"ladder": [5, 25, 50, 100],
	"regions_at_once": 1,
	"accuracy_floor": 0.9,
	"probation_seconds": 60,
	"freeze_windows": [],
}}

cell(blue, green, weight) := {"blue": blue, "green": green, "green_weight": weight}

withdrawn(digest) := {"withdraw": digest}

release := {
	"model": "digits",
	"exists": true,
	"verified": true,
	"evaluation": {
		"accuracy": 0.97,
		"per_class": {"0": 1},
		"images": 360,
		"person": "local-builder",
		"roles": ["builder"],
		"digest": sprintf("sha256:%s", [repeat("e5")]),
		"time": "2026-11-21T09:00:00.000000Z",
	},
}

# Record, gateway and services agree on `before`; the release s stands.
place(region, before, after) := {
	"model": "digits",
	"region": region,
	"first": false,
	"from": before,
	"to": after,
	"recorded": before,
	"intent": null,
	"live": before,
	"serving": {"blue": in_slot(before, "blue"), "green": in_slot(before, "green")},
	"ready": {"blue": true, "green": true},
	"standing": s,
	"former": null,
	"base": null,
	"at_full_since": null,
}

in_slot(at, slot) := at[slot] if is_string(at[slot])

in_slot(null, _) := null

in_slot(at, slot) := null if at[slot] == null

in_slot(at, _) := null if is_string(at.withdraw)

# Like place, for a place that the log does not know.
first_place(region, after) := set_fields(place(region, null, after), {
	"first": true,
	"standing": null,
	"ready": {"blue": null, "green": null},
})

question(cells) := {
	"version": 1,
	"kind": "step",
	"stack": "local",
	"environment": "local",
	"now": "2026-11-21T10:00:00.000000Z",
	"log": {"state": "present", "size": 12},
	"bundle": {"revision": data.settings.revision},
	"cells": cells,
	"marks": [],
	"releases": {s: release, c: release, t: release},
	"barred": [],
	"rollback": null,
	"reasons": {},
}

# Replace whole fields (object.union would merge their insides).
set_fields(value, fields) := object.union(object.remove(value, object.keys(fields)), fields)

# The candidate's share in local-a goes from one percentage to another.
step(before, after) := question([place("local-a", cell(s, c, before), cell(s, c, after))])

with_release(value, digest, fields) := set_fields(value, {"releases": object.union(
	object.remove(value.releases, [digest]),
	{digest: set_fields(release, fields)},
)})

with_place(value, fields) := set_fields(value, {"cells": array.concat(
	[set_fields(value.cells[0], fields)],
	array.slice(value.cells, 1, count(value.cells)),
)})

codes(value) := {violation.code |
	some violation in data.lockstep.violations with input as value with data.settings.environments as environments
}

allowed(value) if {
	data.lockstep.allow with input as value with data.settings.environments as environments
}

messages(value, code) := {violation.message |
	some violation in data.lockstep.violations with input as value with data.settings.environments as environments
	violation.code == code
}
