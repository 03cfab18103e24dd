# The bus's entry rule for agents that call tools; what is not allowed here is denied.
#
# An agent may publish or request calls of its tools and nothing else, and subscribe to
# what its roles list. `assent.toolcalls` says of a call whether it is refused or held.
package assent.authz

default decision := {
	"allow": false,
	"reasons": ["no rule allows it"],
	"obligations": [],
}

decision := {"allow": true, "reasons": [], "obligations": _obligations} if {
	allow
} else := {"allow": false, "reasons": sort(data.assent.toolcalls.refused), "obligations": []} if {
	_is_call
	_identified
	count(data.assent.toolcalls.refused) > 0
} else := {"allow": false, "reasons": ["the agent is not known in this tenant"], "obligations": []} if {
	not _identified
}

default allow := false

allow if {
	_identified
	_is_call
	count(data.assent.toolcalls.refused) == 0
}

allow if {
	_identified
	input.action == "connect"
}

allow if {
	_identified
	input.action == "subscribe"
	some role in _agent.roles
	some granted in data.roles[role].subscribe
	_covers(granted, input.subscription.pattern)
	not startswith(input.subscription.pattern, "$")
}

# The bus has proved that this answers the request at hand.
allow if {
	_identified
	input.action == "reply"
	startswith(input.message.subject, "$INBOX.")
}

# The bus itself puts letters that could not be delivered aside.
allow if {
	input.action == "dead_letter"
	input.principal.id == "$bus"
	input.principal.tenant == input.message.tenant
	startswith(input.message.subject, "$DEAD.")
}

_agent := data.agents[input.principal.id]

_identified if {
	_agent.tenant == input.principal.tenant
	object.get(_agent, "enabled", true) == true
	object.get(data.tenants[_agent.tenant], "enabled", true) == true
}

_is_call if input.action in {"publish", "request"}

_obligations := array.concat(_limits, _holds)

_limits := [{"type": "limit", "body_bytes": data.assent.toolcalls.bounds.body_bytes}] if {
	_is_call
} else := []

_holds := [{"type": "hold", "reason": substring(concat("; ", sort(data.assent.toolcalls.held)), 0, 400)}] if {
	_is_call
	count(data.assent.toolcalls.held) > 0
} else := []

# A grant covers itself and, where it ends in `>`, all that is below it; never what is
# the bus's own.
_covers(granted, asked) if granted == asked

_covers(">", asked) if not startswith(asked, "$")

_covers(granted, asked) if {
	endswith(granted, ".>")
	startswith(asked, trim_suffix(granted, ">"))
}
