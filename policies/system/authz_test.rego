package lockstep_test.authz

token := "0123456789abcdef0123456789abcdef"

asked(path, method, identity) := {"path": path, "method": method, "identity": identity}

allowed(request) if {
	data.system.authz.allow with input as request with opa.runtime as {"env": {"LOCKSTEP_OPA_TOKEN": token}}
}

test_the_question_with_the_token if {
	allowed(asked(["v1", "data", "lockstep", "decision"], "POST", token))
	allowed(asked(["v1", "data", "lockstep", "revision"], "POST", token))
}

test_nothing_else if {
	not allowed(asked(["v1", "data", "lockstep", "decision"], "POST", "guess"))
	not allowed(asked(["v1", "data", "lockstep", "decision"], "PUT", token))
	not allowed(asked(["v1", "data", "lockstep", "revision"], "POST", "guess"))
	not allowed(asked(["v1", "data", "lockstep", "revision"], "PUT", token))
	not allowed(asked(["v1", "data", "settings"], "POST", token))
	not allowed(asked(["v1", "policies"], "GET", token))
	not allowed(asked(["v1", "config"], "GET", token))
	not allowed(asked(["health"], "GET", token))
	not allowed({"path": ["v1", "data", "lockstep", "decision"], "method": "POST"})
}

test_without_a_token_nobody if {
	request := asked(["v1", "data", "lockstep", "decision"], "POST", "")
	not data.system.authz.allow with input as request with opa.runtime as {"env": {"LOCKSTEP_OPA_TOKEN": ""}}
	not data.system.authz.allow with input as request with opa.runtime as {"env": {}}
}

test_a_short_token_is_none if {
	short := substring(token, 0, 31)
	request := asked(["v1", "data", "lockstep", "decision"], "POST", short)
	not data.system.authz.allow with input as request with opa.runtime as {"env": {"LOCKSTEP_OPA_TOKEN": short}}
}
