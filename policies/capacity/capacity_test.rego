package lockstep_test.capacity

good := {
	"capacity": {
		"by": "karpenter",
		"instance_types": ["g6.xlarge", "g6.2xlarge"],
		"min": 1,
		"max": 4,
		"spot_percent": 0,
		"reservation": null,
		"sharing": "none",
		"slices": 1,
	},
	"types": [
		{"name": "g6.xlarge", "family": "g6", "gpus": 1, "mig": false, "cpu": 3.5, "room_gib": 14.4},
		{"name": "g6.2xlarge", "family": "g6", "gpus": 1, "mig": false, "cpu": 7.5, "room_gib": 28.8},
	],
	"services": {"digits": {"gpus": 1, "cpu": 2, "memory_gib": 8}},
	"nat": "region",
}

h100 := {"name": "p5.48xlarge", "family": "p5", "gpus": 8, "mig": true, "cpu": 191.5, "room_gib": 1843.2}

# Whole fields are replaced, one level down.
with_capacity(fields) := object.union(good, {"capacity": fields})

with_types(types) := object.union(
	with_capacity({"instance_types": [type.name | some type in types]}),
	{"types": types},
)

with_service(fields) := object.union(good, {"services": {"digits": fields}})

refusals(question) := found if {
	found := data.lockstep.capacity.refusals with input as question
}

codes(question) := {refusal.code | some refusal in refusals(question)}

message(question) := said if {
	[refusal] := [each | some each in refusals(question)]
	said := refusal.message
}

test_what_can_work_is_refused_nothing if {
	refusals(good) == set()
	refusals(with_capacity({"by": "managed", "sharing": "time-slicing", "slices": 4})) == set()
	refusals(with_capacity({"by": "auto"})) == set()
}

test_every_refusal_says_what_and_what_next if {
	worst := object.union(with_service({"gpus": 9, "cpu": 100}), {
		"capacity": {
			"by": "auto",
			"sharing": "mig",
			"slices": 5,
			"reservation": "cr-0",
			"spot_percent": 100,
		},
		"nat": "none",
	})
	found := refusals(worst)
	{refusal.code | some refusal in found} == {
		"capacity.auto_sharing",
		"capacity.mig_gpu",
		"capacity.mig_slices",
		"capacity.reserved_spot",
		"capacity.reserved_types",
		"capacity.shared_gpus",
		"capacity.pod_gpus",
		"capacity.pod_size",
		"network.no_images",
	}
	every refusal in found {
		object.keys(refusal) == {"code", "message", "remedy"}
		refusal.remedy != ""
	}
}

test_auto_mode_shares_no_gpu if {
	every sharing in ["mig", "time-slicing", "dra"] {
		"capacity.auto_sharing" in codes(with_capacity({"by": "auto", "sharing": sharing, "slices": 4}))
	}
}

test_auto_mode_says_which_way_is_left if {
	sliced := with_capacity({"by": "auto", "sharing": "time-slicing", "slices": 4})
	message(sliced) == concat("", [
		"Auto Mode offers whole GPUs only, and sharing is time-slicing: ",
		"use capacity by karpenter or managed, or sharing none",
	])
	claimed := with_capacity({"by": "auto", "sharing": "dra"})
	message(claimed) == "Auto Mode offers whole GPUs only, and sharing is dra: use sharing none"
}

test_dra_works_on_no_node_that_is_made_here if {
	every by in ["karpenter", "managed"] {
		codes(with_capacity({"by": by, "sharing": "dra"})) == {"capacity.dra_driver"}
		contains(message(with_capacity({"by": by, "sharing": "dra"})), by)
	}
	codes(with_capacity({"by": "auto", "sharing": "dra"})) == {"capacity.auto_sharing"}
}

test_claims_are_no_parts if {
	claims := object.union(with_capacity({"sharing": "dra", "slices": 2}), {"services": {"digits": {"gpus": 2}}})
	codes(claims) == {"capacity.dra_driver"}
}

cut(types, slices) := object.union(with_types(types), {"capacity": {"sharing": "mig", "slices": slices}})

test_mig_needs_gpus_that_can_be_cut if {
	codes(cut([h100], 7)) == set()
	mixed := object.union(h100, {"name": "g6.48xlarge", "family": "g6", "mig": false})
	other := object.union(mixed, {"name": "g5.48xlarge", "family": "g5"})
	message(cut([h100, mixed, other], 7)) == "sharing is mig, and the GPUs of g5, g6 cannot be partitioned"
	codes(object.union(cut([h100, mixed], 7), {"capacity": {"sharing": "time-slicing"}})) == set()
}

test_mig_cuts_into_these_parts_alone if {
	every slices in [2, 3, 4, 7] {
		codes(cut([h100], slices)) == set()
	}
	every slices in [1, 5, 6, 8] {
		codes(cut([h100], slices)) == {"capacity.mig_slices"}
	}
	message(cut([h100], 5)) == "MIG cuts a GPU into 2, 3, 4, 7 equal parts, not 5"
	codes(with_capacity({"sharing": "time-slicing", "slices": 5})) == set()
}

reserved(fields) := object.union(
	with_types([good.types[0]]),
	{"capacity": object.union({"reservation": "cr-0"}, fields)},
)

test_a_reservation_is_used if {
	codes(reserved({"spot_percent": 99})) == set()
	codes(reserved({"spot_percent": 100})) == {"capacity.reserved_spot"}
	contains(message(reserved({"spot_percent": 100})), "the reservation cr-0 would hold 1 nodes")
	codes(with_capacity({"spot_percent": 100})) == set()
}

test_a_reservation_is_for_one_type if {
	codes(with_capacity({"reservation": "cr-0"})) == {"capacity.reserved_types"}
	contains(message(with_capacity({"reservation": "cr-0"})), "names g6.xlarge, g6.2xlarge")
}

test_nodes_are_counted_because_they_are_alike if {
	four := object.union(good.types[1], {"name": "g6.12xlarge", "gpus": 4})
	codes(with_types([good.types[0], four])) == {"capacity.mixed_gpus"}
	contains(message(with_types([good.types[0], four])), "numbers of GPUs: g6.xlarge has 1, g6.12xlarge has 4")
}

test_a_pod_asks_for_one_part if {
	shared := object.union(with_service({"gpus": 2}), {"capacity": {"sharing": "time-slicing", "slices": 4}})
	codes(shared) == {"capacity.shared_gpus"}
	contains(message(shared), "digits asks for 2 GPUs a pod, and sharing is time-slicing")
	cut_up := object.union(cut([h100], 7), {"services": {"digits": {"gpus": 2}}})
	codes(cut_up) == {"capacity.shared_gpus"}
	codes(object.union(with_types([h100]), {"services": {"digits": {"gpus": 2}}})) == set()
}

test_a_node_has_the_gpus_of_a_pod if {
	codes(with_service({"gpus": 2})) == {"capacity.pod_gpus"}
	message(with_service({"gpus": 2})) == "digits asks for 2 GPUs a pod, and a node has 1"

	# of types that differ the fewest count, and each GPU has as many as its slices
	four := object.union(good.types[1], {"name": "g6.12xlarge", "gpus": 4})
	"capacity.pod_gpus" in codes(object.union(
		with_types([good.types[0], four]),
		{"services": {"digits": {"gpus": 3}}},
	))
	sliced := object.union(with_service({"gpus": 5}), {"capacity": {"sharing": "time-slicing", "slices": 4}})
	codes(sliced) == {"capacity.shared_gpus", "capacity.pod_gpus"}
}

test_a_pod_fits_on_each_type if {
	codes(with_service({"cpu": 3.5, "memory_gib": 14})) == set()
	message(with_service({"cpu": 4})) == "a pod of digits (4 CPUs, 8 GiB) does not fit on g6.xlarge"
	message(with_service({"memory_gib": 15})) == "a pod of digits (2 CPUs, 15 GiB) does not fit on g6.xlarge"
	contains(message(with_service({"cpu": 8})), "does not fit on g6.xlarge, g6.2xlarge")
	exact := object.union(with_types([object.union(good.types[0], {"room_gib": 8})]), {})
	codes(exact) == set()
}

test_what_is_not_known_of_any_type_is_said_elsewhere if {
	codes(object.union(good, {"types": []})) == set()
}

test_nodes_reach_the_images if {
	codes(object.union(good, {"nat": "zone"})) == set()
	codes(object.union(good, {"nat": "none"})) == {"network.no_images"}
}

test_half_a_question_is_refused if {
	every part in ["capacity", "types", "services", "nat"] {
		codes(object.remove(good, [part])) == {"capacity.input_invalid"}
		contains(message(object.remove(good, [part])), sprintf("%s is required", [part]))
	}
	codes(object.union(good, {"capacity": {"sharing": "mps", "slices": 4}})) == {"capacity.input_invalid"}
	"capacity.input_invalid" in codes(with_service({"gpus": "1"}))
}

test_what_is_no_question_is_refused if {
	every question in [null, "{}", [], 7, json.marshal(good)] {
		"capacity.input_invalid" in codes(question)
	}
	message(json.marshal(good)) == "what is known of the capacity could not be compared with its schema"
	"capacity.input_invalid" in {refusal.code | some refusal in data.lockstep.capacity.refusals}
}

test_without_its_schema_nothing_is_allowed if {
	found := data.lockstep.capacity.refusals with input as good with data.settings as {}
	{refusal.code | some refusal in found} == {"capacity.input_invalid"}
}
