package lockstep_test.step_size

import data.lockstep_test.fixtures as f

test_largest_step_is_allowed if {
	f.allowed(f.step(50, 100))
}

test_a_tenth_too_large_is_denied if {
	f.codes(f.step(49.9, 100)) == {"step.size", "step.ladder"}
	small := object.union(f.environments, {"local": {"max_step": 4.9}})
	not data.lockstep.allow with input as f.step(0, 5) with data.settings.environments as small
	data.lockstep.allow with input as f.step(0, 4.9) with data.settings.environments as small
}

test_message_names_the_shares_and_the_next_step if {
	question := f.step(5, 80)
	some message in f.messages(question, "step.size")
	contains(message, "digits in local-a: share of sha256:b2b2b2b2b2b2 would rise from 5 % to 80 %")
	some violation in data.lockstep.violations with input as question with data.settings.environments as f.environments
	violation.code == "step.size"
	violation.remedy == "promote with --share 25"
}

test_the_share_counts_whatever_the_slot if {
	# the same release in both slots: weight moves, share does not
	both := f.question([f.place("local-a", f.cell(f.c, f.c, 0), f.cell(f.c, f.c, 100))])
	not "step.size" in f.codes(both)
}

test_a_fall_is_free if {
	f.allowed(f.step(100, 0))
}

test_missing_fact if {
	not f.allowed(f.with_place(f.step(0, 5), {"from": {"blue": f.s, "green": f.c}}))
	not data.lockstep.allow with input as f.step(0, 5) with data.settings.environments as {"local": object.remove(
		f.environments.local,
		["max_step"],
	)}
}
