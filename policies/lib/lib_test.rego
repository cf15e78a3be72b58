package lockstep_test.lib

import data.lockstep.lib
import data.lockstep_test.fixtures as f

test_a_digest_is_shown_short if {
	lib.short(f.s) == "sha256:a1a1a1a1a1a1"
	lib.short(null) == "nothing"
}

test_a_place_is_named_for_records_and_for_people if {
	at := f.place("local-a", null, null)
	lib.id(at) == "digits/local-a"
	lib.name(at) == "digits in local-a"
}

test_tenths_are_shown_as_percent if {
	lib.percent(55) == "5.5 %"
	lib.percent(1000) == "100 %"
	lib.number(55) == "5.5"
	lib.number(50) == "5"
}

test_a_reason_is_found_by_its_pointer if {
	lib.reason("/x") == "because" with input as {"reasons": {"/x": "because"}}
	lib.reason("/y") == "no reason was given" with input as {"reasons": {"/x": "because"}}
}

test_a_cell_is_placed_withdrawn_or_none if {
	lib.is_placed(f.cell(null, null, 0))
	not lib.is_placed(f.withdrawn(f.s))
	not lib.is_placed({"blue": f.s, "green": null, "green_weight": "5"})
	not lib.is_placed(null)
	lib.is_withdrawn(f.withdrawn(f.s))
	not lib.is_withdrawn(f.cell(f.s, null, 0))
	not lib.is_withdrawn({"withdraw": null})
}

test_a_vacant_cell_has_no_release_and_no_weight if {
	lib.is_vacant(f.cell(null, null, 0))
	not lib.is_vacant(f.cell(f.s, null, 0))
	not lib.is_vacant(f.cell(null, f.s, 0))
	not lib.is_vacant(f.cell(null, null, 0.1))
	not lib.is_vacant(null)
}

test_weights_are_whole_tenths_of_a_percent if {
	every pair in [[0, 0], [0.1, 1], [5, 50], [99.9, 999], [100, 1000], [1e2, 1000], [100.0, 1000]] {
		lib.weight(f.cell(f.s, f.c, pair[0]), "green") == pair[1]
		lib.weight(f.cell(f.s, f.c, pair[0]), "blue") == 1000 - pair[1]
	}
}

test_a_share_is_the_releases_whatever_its_slot if {
	lib.share(f.cell(f.s, f.c, 5), f.c) == 50
	lib.share(f.cell(f.s, f.c, 5), f.s) == 950
	lib.share(f.cell(f.c, f.c, 5), f.c) == 1000
	lib.share(f.cell(f.s, f.c, 5), f.t) == 0
	lib.share(f.withdrawn(f.s), f.s) == 0
	lib.share(null, f.s) == 0
}

test_the_releases_of_a_cell if {
	lib.releases_in(f.cell(f.s, null, 0)) == {f.s}
	lib.releases_in(f.cell(f.s, f.c, 0)) == {f.s, f.c}
	lib.releases_in(f.withdrawn(f.s)) == set()
	lib.releases_in(null) == set()
}

test_what_is_judged_changes_or_is_marked if {
	moves := f.place("local-a", f.cell(f.s, f.c, 0), f.cell(f.s, f.c, 5))
	rests := f.place("local-b", f.cell(f.s, f.c, 0), f.cell(f.s, f.c, 0))
	elsewhere := f.set_fields(rests, {"region": "local-c"})
	letters := f.set_fields(rests, {"model": "letters"})
	marks := [{"model": "digits", "region": "local-b", "digest": f.s}]
	question := f.set_fields(f.question([moves, rests, elsewhere, letters]), {"marks": marks})
	lib.judged == {moves, rests} with input as question
	lib.looked == {"digits/local-a", "digits/local-b"} with input as question
	lib.changed == {"digits/local-a"} with input as question
}

test_a_release_is_placed_where_it_was_not if {
	lib.placed(f.place("a", f.cell(f.s, null, 0), f.cell(f.s, f.c, 0))) == {f.c}
	lib.placed(f.place("a", null, f.cell(f.s, f.c, 0))) == {f.s, f.c}
	lib.placed(f.place("a", f.cell(f.s, f.c, 0), f.cell(f.c, f.s, 0))) == {f.s, f.c}
	lib.placed(f.place("a", f.cell(f.s, f.c, 0), f.cell(f.s, null, 0))) == set()
	lib.placed(f.place("a", f.cell(f.s, f.c, 0), f.withdrawn(f.s))) == set()
}

test_a_rise_is_more_share_than_before if {
	lib.rising(f.place("a", f.cell(f.s, f.c, 0), f.cell(f.s, f.c, 5))) == {f.c}
	lib.rising(f.place("a", f.cell(f.s, f.c, 5), f.cell(f.s, f.c, 0))) == {f.s}
	lib.rising(f.place("a", f.cell(f.s, f.c, 5), f.cell(f.s, f.c, 5))) == set()
	lib.rising(f.place("a", f.cell(f.s, f.c, 5), f.cell(f.c, f.s, 95))) == set()
}

test_only_both_facts_make_a_first_placement if {
	lib.is_first(f.first_place("a", f.cell(f.s, null, 0)))
	not lib.is_first(f.set_fields(f.first_place("a", null), {"first": false}))
	not lib.is_first(f.set_fields(f.first_place("a", null), {"standing": f.s}))
}

test_first_placements_and_ways_back_are_not_bound if {
	lib.bound(f.place("a", f.cell(f.s, f.c, 0), f.cell(f.s, f.c, 5))) == {f.c}
	lib.bound(f.place("a", f.cell(f.s, f.c, 5), f.cell(f.s, f.c, 0))) == set()
	lib.bound(f.first_place("a", f.cell(f.s, f.c, 5))) == set()
}

# s stood before c, and a record says to go back to a share of s in local-a.
back_to(weight) := {"rollback": {"digest": f.c, "target": {"digits": {"local-a": f.cell(f.s, f.c, weight)}}}}

leaving(before, after, fields) := f.set_fields(
	f.place("local-a", f.cell(f.s, f.c, before), f.cell(f.s, f.c, after)),
	object.union({"standing": f.c, "former": f.s}, fields),
)

test_a_rollback_goes_as_far_as_its_target if {
	lib.rolls_back(leaving(100, 0, {}), f.s) with input as back_to(0)
	lib.rolls_back(leaving(100, 50, {}), f.s) with input as back_to(50)
	not lib.rolls_back(leaving(100, 49.9, {}), f.s) with input as back_to(50)
	not lib.rolls_back(leaving(100, 0, {"region": "local-b"}), f.s) with input as back_to(0)
	not lib.rolls_back(leaving(100, 0, {}), f.s) with input as {"rollback": null}
}

test_and_no_further_than_the_log_says if {
	lib.way_back(leaving(100, 0, {}), f.s) == 1000
	lib.way_back(leaving(100, 0, {"base": f.cell(f.s, f.c, 60)}), f.s) == 400
	not lib.way_back(leaving(100, 0, {"former": f.t}), f.s)
	not lib.way_back(leaving(100, 0, {"base": f.withdrawn(f.s)}), f.s)
	exactly := leaving(100, 60, {"base": f.cell(f.s, f.c, 60)})
	lib.rolls_back(exactly, f.s) with input as back_to(60)
	not lib.rolls_back(exactly, f.s) with input as back_to(59.9)
}

next(thresholds, before) := share if {
	share := lib.next_share(before) with input as {"environment": "x"}
		with data.settings.environments as {"x": thresholds}
}

test_the_next_share_is_the_next_rung_or_the_largest_step if {
	next({"max_step": 50, "ladder": [5, 25, 100]}, 0) == 50
	next({"max_step": 50, "ladder": [5, 25, 100]}, 50) == 250
	next({"max_step": 50, "ladder": [5, 25, 100]}, 49) == 50
	next({"max_step": 50, "ladder": [5, 25, 100]}, 250) == 750
	next({"max_step": 2.5, "ladder": [5, 25, 100]}, 10) == 35
}
