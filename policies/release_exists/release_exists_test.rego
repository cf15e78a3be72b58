package lockstep_test.release_exists

import data.lockstep_test.fixtures as f

placing := f.question([f.place("local-a", f.cell(f.s, null, 0), f.cell(f.s, f.c, 0))])

test_in_the_store_is_allowed if {
	f.allowed(placing)
}

test_not_in_the_store_is_denied if {
	gone := f.set_fields(
		f.with_release(placing, f.c, {"model": null, "exists": false, "verified": null, "evaluation": null}),
		{"reasons": {sprintf("/releases/%s/exists", [f.c]): "not in the store"}},
	)
	f.codes(gone) == {"release.exists"}
	f.messages(gone, "release.exists") == {"digits in local-a: the release sha256:b2b2b2b2b2b2 is not there: not in the store"}
}

test_what_only_loses_traffic_may_be_gone if {
	f.allowed(f.with_release(f.step(5, 0), f.c, {"exists": false, "verified": null, "evaluation": null}))
}

test_missing_fact if {
	"release.exists" in f.codes(f.with_release(placing, f.c, {"exists": null}))
	"release.exists" in f.codes(f.set_fields(placing, {"releases": {f.s: f.release}}))
	not f.allowed(f.with_release(placing, f.c, {"exists": "true"}))
}
