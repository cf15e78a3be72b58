# METADATA
# title: Who may ask a private OPA what
# description: |
#   Only whoever started this OPA knows its token (it is in the process's environment, never in argv), and the
#   token opens nothing but the question itself and the bundle's revision: no policy upload, no data, no config.
package system.authz

default allow := false

allow if {
	is_asker
	input.method == "POST"
	input.path == ["v1", "data", "lockstep", "decision"]
}

allow if {
	is_asker
	input.method == "POST"
	input.path == ["v1", "data", "lockstep", "revision"]
}

# The lengths keep an unset or empty token from matching an unset identity.
is_asker if {
	count(opa.runtime().env.LOCKSTEP_OPA_TOKEN) >= 32
	input.identity == opa.runtime().env.LOCKSTEP_OPA_TOKEN
}
