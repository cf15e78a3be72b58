# METADATA
# title: Can these GPU nodes ever run these models?
# description: |
#   Pairs of settings of a stack on AWS that no cluster can make work. They do not fail when they are declared but
#   hours later, as pods that wait for ever; so they are refused before anything is asked for. The question is a
#   stack's lockstep:capacity, lockstep:services and NAT, and what is known of its instance types; the gate is asked
#   about none of it, and these rules are no part of its bundle. Types of which nothing is known are refused elsewhere.
#   A question that is missing, or not of the shape of schema/capacity.json, is refused: after that every field that a
#   rule reads is there and typed.
# schemas:
#   - input: schema.capacity
package lockstep.capacity

# Into how many equal parts MIG cuts a GPU; one part is no partition.
partitions := {2, 3, 4, 7}

# Ways of sharing that make parts of a GPU which the device plugin counts as GPUs.
parts := {"mig", "time-slicing"}

# METADATA
# title: The question is complete and typed
# description: A field that is missing makes a rule silent, and silence must not count as consent.
# custom:
#   code: capacity.input_invalid
#   severity: error
#   remediation: This is a fault of whoever asked, not of the stack; report it with the stack file.
#   review_date: "2027-05-01"
#   controls: [SOC2-CC7.2]
refusals contains {
	"code": "capacity.input_invalid",
	"message": sprintf("what is known of the capacity does not fit its schema: %s", [found.error]),
	"remedy": "report it with the stack file: nothing was declared",
} if {
	[false, errors] = json.match_schema(input, data.settings.capacity_schema)
	some found in errors
}

refusals contains {
	"code": "capacity.input_invalid",
	"message": "what is known of the capacity could not be compared with its schema",
	"remedy": "report it with the stack file: nothing was declared",
} if {
	not compared
}

# A string would be read as JSON, and no rule could see into it.
compared if {
	is_object(input)
	json.match_schema(input, data.settings.capacity_schema)
}

# METADATA
# title: Auto Mode's nodes have whole GPUs
# description: |
#   EKS Auto Mode chooses and runs its nodes' software itself. It takes no settings of the device plugin, so neither
#   time slices nor MIG, and its scheduler knows no resource claims (DRA).
# custom:
#   code: capacity.auto_sharing
#   severity: error
#   remediation: Use capacity by karpenter or managed for mig or time-slicing, or sharing none.
#   review_date: "2027-05-01"
#   controls: [SOC2-A1.1]
refusals contains {
	"code": "capacity.auto_sharing",
	"message": sprintf("Auto Mode offers whole GPUs only, and sharing is %s: %s", [input.capacity.sharing, instead]),
	"remedy": "set lockstep:capacity.by or sharing to what goes together (docs/aws.md)",
} if {
	input.capacity.by == "auto"
	input.capacity.sharing != "none"
}

instead := "use sharing none" if input.capacity.sharing == "dra"

instead := "use capacity by karpenter or managed, or sharing none" if input.capacity.sharing != "dra"

# METADATA
# title: No node brings a DRA driver
# description: |
#   With DRA a pod asks for a GPU by a claim, which a driver on the node answers. The nodes of karpenter and managed are
#   Bottlerocket's, whose device plugin offers nvidia.com/gpu and answers no claim; and Karpenter makes no node for one.
# custom:
#   code: capacity.dra_driver
#   severity: error
#   remediation: Use sharing none, time-slicing or mig.
#   review_date: "2027-05-01"
#   controls: [SOC2-A1.1]
refusals contains {
	"code": "capacity.dra_driver",
	"message": sprintf("sharing is dra, and nodes by %s bring no DRA driver: a claim would never be answered", [by]),
	"remedy": "set lockstep:capacity.sharing to none, time-slicing or mig",
} if {
	by := input.capacity.by
	by != "auto"
	input.capacity.sharing == "dra"
}

# METADATA
# title: MIG needs GPUs that can be partitioned
# description: Only the GPUs of some families have MIG; the node's software has no profile for the others.
# custom:
#   code: capacity.mig_gpu
#   severity: error
#   remediation: Use instance types with GPUs that MIG partitions, or time-slicing.
#   review_date: "2027-05-01"
#   controls: [SOC2-A1.1]
refusals contains {
	"code": "capacity.mig_gpu",
	"message": sprintf("sharing is mig, and the GPUs of %s cannot be partitioned", [concat(", ", sort(whole))]),
	"remedy": "use p4d, p5 or newer in lockstep:capacity.instance_types, or sharing time-slicing",
} if {
	input.capacity.sharing == "mig"
	whole := {type.family | some type in input.types; not type.mig}
	count(whole) > 0
}

# METADATA
# title: MIG cuts a GPU into 2, 3, 4 or 7 equal parts
# description: There is no profile for another number of equal parts.
# custom:
#   code: capacity.mig_slices
#   severity: error
#   remediation: Set slices to one of these numbers.
#   review_date: "2027-05-01"
#   controls: [SOC2-A1.1]
refusals contains {
	"code": "capacity.mig_slices",
	"message": sprintf("MIG cuts a GPU into %s equal parts, not %v", [allowed, input.capacity.slices]),
	"remedy": "set lockstep:capacity.slices to one of these",
} if {
	input.capacity.sharing == "mig"
	not input.capacity.slices in partitions
	allowed := concat(", ", [sprintf("%v", [number]) | some number in sort(partitions)])
}

# METADATA
# title: A reservation is used by the nodes that it is paid for
# description: Where all nodes above min are spot, the reservation holds the fixed nodes alone and is paid in full.
# custom:
#   code: capacity.reserved_spot
#   severity: error
#   remediation: Lower spot_percent, or drop the reservation.
#   review_date: "2027-05-01"
#   controls: [SOC2-A1.1]
refusals contains {
	"code": "capacity.reserved_spot",
	"message": sprintf(
		"all nodes above min are spot, so the reservation %s would hold %v nodes and be paid in full",
		[input.capacity.reservation, input.capacity.min],
	),
	"remedy": "lower lockstep:capacity.spot_percent, or set reservation to null",
} if {
	input.capacity.reservation != null
	input.capacity.spot_percent == 100
}

# METADATA
# title: A reservation is for one instance type
# description: Nodes of another type would never come out of it.
# custom:
#   code: capacity.reserved_types
#   severity: error
#   remediation: Name the type of the reservation alone.
#   review_date: "2027-05-01"
#   controls: [SOC2-A1.1]
refusals contains {
	"code": "capacity.reserved_types",
	"message": sprintf("a reservation is for one instance type, and instance_types names %s", [names]),
	"remedy": "name the reservation's type alone in lockstep:capacity.instance_types, or set reservation to null",
} if {
	input.capacity.reservation != null
	count(input.capacity.instance_types) > 1
	names := concat(", ", input.capacity.instance_types)
}

# METADATA
# title: All instance types have as many GPUs
# description: min and max count nodes; a region's GPUs follow from them only where each node has the same number.
# custom:
#   code: capacity.mixed_gpus
#   severity: error
#   remediation: Use types with the same number of GPUs.
#   review_date: "2027-05-01"
#   controls: [SOC2-A1.1]
refusals contains {
	"code": "capacity.mixed_gpus",
	"message": sprintf("min and max count nodes, and these have different numbers of GPUs: %s", [shown]),
	"remedy": "use types with the same number of GPUs in lockstep:capacity.instance_types",
} if {
	count({type.gpus | some type in input.types}) > 1
	shown := concat(", ", [sprintf("%s has %v", [type.name, type.gpus]) | some type in input.types])
}

# METADATA
# title: A pod on shared GPUs asks for one part
# description: Two parts may lie on two GPUs, and are no bigger GPU where they do not.
# custom:
#   code: capacity.shared_gpus
#   severity: error
#   remediation: Ask for one GPU a pod, or use sharing none.
#   review_date: "2027-05-01"
#   controls: [SOC2-A1.1]
refusals contains {
	"code": "capacity.shared_gpus",
	"message": sprintf(
		"%s asks for %v GPUs a pod, and sharing is %s: two parts of a GPU are no bigger GPU",
		[model, service.gpus, input.capacity.sharing],
	),
	"remedy": "set gpus of the model in lockstep:services to 1, or lockstep:capacity.sharing to none",
} if {
	input.capacity.sharing in parts
	some model, service in input.services
	service.gpus > 1
}

# METADATA
# title: A node has the GPUs of a pod
# description: A pod that asks for more GPUs than one node offers fits nowhere, however many nodes there are.
# custom:
#   code: capacity.pod_gpus
#   severity: error
#   remediation: Use instance types with more GPUs, or ask for fewer.
#   review_date: "2027-05-01"
#   controls: [SOC2-A1.1]
refusals contains {
	"code": "capacity.pod_gpus",
	"message": sprintf("%s asks for %v GPUs a pod, and a node has %v", [model, service.gpus, gpus_per_node]),
	"remedy": "use types with more GPUs in lockstep:capacity.instance_types, or lower gpus in lockstep:services",
} if {
	some model, service in input.services
	service.gpus > gpus_per_node
}

# What one node offers to pods: its GPUs, or their slices; of types that differ, the fewest.
gpus_per_node := min({type.gpus | some type in input.types}) * input.capacity.slices

# METADATA
# title: A node has the CPUs and the memory of a pod
# description: Any of the types may be the one that comes; so a pod fits on each of them, or waits for luck.
# custom:
#   code: capacity.pod_size
#   severity: error
#   remediation: Use larger instance types, or ask for less.
#   review_date: "2027-05-01"
#   controls: [SOC2-A1.1]
refusals contains {
	"code": "capacity.pod_size",
	"message": sprintf(
		"a pod of %s (%v CPUs, %v GiB) does not fit on %s",
		[model, service.cpu, service.memory_gib, concat(", ", small)],
	),
	"remedy": "use larger types in lockstep:capacity.instance_types, or lower cpu or memory_gib in lockstep:services",
} if {
	some model, service in input.services
	small := [type.name | some type in input.types; not fits(service, type)]
	count(small) > 0
}

fits(service, type) if {
	service.cpu <= type.cpu
	service.memory_gib <= type.room_gib
}

# METADATA
# title: Nodes reach the images of the controllers
# description: Envoy Gateway and KEDA come from public registries; without NAT no node reaches one.
# custom:
#   code: network.no_images
#   severity: error
#   remediation: Use nat region or zone.
#   review_date: "2027-05-01"
#   controls: [SOC2-A1.1]
refusals contains {
	"code": "network.no_images",
	"message": "nat is none, and the images of Envoy Gateway and KEDA come from public registries, which no node then reaches",
	"remedy": "set lockstep:network.nat to region or zone",
} if {
	input.nat == "none"
}
