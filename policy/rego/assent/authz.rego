# Who may do what on the bus. Everything is denied that no rule here allows.
#
# The decision reads the action, the principal's id and tenant, the message's tenant,
# subject and type, and the pattern of a subscription: nothing that differs from one
# message to the next of its kind. That is what makes decisions worth keeping.
#
# Areas of the library that are in force add to `deny` and `obligations`.
package assent.authz

import data.assent.subjects

default decision := {
	"allow": false,
	"reasons": ["no rule allows it"],
	"obligations": [],
}

decision := {
	"allow": true,
	"reasons": [],
	"obligations": [obligation | some obligation in obligations],
} if {
	allow
	count(deny) == 0
} else := {"allow": false, "reasons": sort(deny | _why), "obligations": []} if {
	count(deny | _why) > 0
}

default allow := false

allow if {
	identified
	permitted
}

# The bus itself puts letters that could not be delivered aside.
allow if {
	input.action == "dead_letter"
	input.principal.id == "$bus"
	input.principal.tenant == input.message.tenant
	startswith(input.message.subject, "$DEAD.")
}

# It also tells what became of its own parts.
allow if {
	input.action == "system_event"
	input.principal.id == "$bus"
	input.principal.tenant == input.message.tenant
	startswith(input.message.subject, "$SYS.")
}

# Identity: an agent the data knows, not disabled, in its own tenant.

_agent := data.agents[input.principal.id]

_disabled if _agent.enabled == false

_tenant_disabled if not data.tenants[_agent.tenant]

_tenant_disabled if data.tenants[_agent.tenant].enabled == false

_own_tenant if {
	_agent.tenant == input.principal.tenant
	_agent.tenant == input.message.tenant
}

_own_tenant if {
	_agent.tenant == input.principal.tenant
	input.action in {"connect", "subscribe", "cooldown", "release", "chaos"}
}

identified if {
	_own_tenant
	not _disabled
	not _tenant_disabled
}

# Permission: what the agent's roles grant.

permitted if input.action == "connect"

# The bus has proved that this answers the request at hand.
permitted if {
	input.action == "reply"
	startswith(input.message.subject, "$INBOX.")
}

permitted if {
	input.action in {"publish", "request"}
	not startswith(input.message.subject, "$")
	some role in _agent.roles
	some grant in data.roles[role][input.action]
	subjects.covers(grant.subject, input.message.subject)
	input.message.type in object.get(grant, "types", [input.message.type])
}

permitted if {
	input.action in {"subscribe", "cooldown", "release", "chaos"}
	_grantable
	some role in _agent.roles
	some granted in data.roles[role][input.action]
	subjects.covers(granted, input.subscription.pattern)
}

_grantable if not startswith(input.subscription.pattern, "$")

_grantable if {
	input.action == "subscribe"
	some own in ["$DEAD.", "$SYS."]
	startswith(input.subscription.pattern, own)
}

# Obligations: what the bus must carry out. Where several bound one thing, the
# strictest wins.

obligations contains object.union(data.limits, {"type": "limit"}) if {
	_sends
	data.limits != {}
}

obligations contains obligation if {
	_sends
	some role in _agent.roles
	some kind, value in data.roles[role]
	obligation := _obligation(kind, value)
}

_sends if input.action in {"publish", "request", "reply"}

_obligation("limits", limits) := object.union(limits, {"type": "limit"}) if limits != {}

_obligation("ttl_seconds", seconds) := {"type": "ttl", "seconds": seconds}

_obligation("redact_headers", headers) := {"type": "redact", "headers": headers} if {
	headers != []
}

# What is denied whatever a role grants.

deny contains sprintf("agent %s is disabled", [input.principal.id]) if {
	_disabled
}

deny contains sprintf("tenant %s is disabled", [_agent.tenant]) if {
	_tenant_disabled
}

# Why nothing allows it, for a person to read.

_why contains sprintf("unknown agent %s", [input.principal.id]) if not _agent

_why contains sprintf("agent %s belongs to tenant %s, not to %s", [
	input.principal.id,
	_agent.tenant,
	_claimed_tenant,
]) if {
	_agent
	not _own_tenant
}

_why contains sprintf("agent %s has no role that may %s %s on %s", [
	input.principal.id,
	input.action,
	input.message.type,
	input.message.subject,
]) if {
	identified
	not permitted
	input.action in {"publish", "request"}
	not startswith(input.message.subject, "$")
}

_why contains sprintf("subject %s belongs to the bus", [input.message.subject]) if {
	input.action in {"publish", "request"}
	startswith(input.message.subject, "$")
}

_why contains sprintf("a reply goes to an inbox, not to %s", [input.message.subject]) if {
	input.action == "reply"
	not startswith(input.message.subject, "$INBOX.")
}

_why contains sprintf("agent %s has no role that may %s %s", [
	input.principal.id,
	_verbs[input.action],
	input.subscription.pattern,
]) if {
	identified
	not permitted
	_grantable
}

_why contains sprintf("pattern %s belongs to the bus", [input.subscription.pattern]) if {
	_verbs[input.action]
	not _grantable
}

_why contains "only the bus puts dead letters aside" if input.action == "dead_letter"

_why contains "only the bus tells of its own parts" if input.action == "system_event"

_why contains sprintf("unknown action %s", [input.action]) if {
	not input.action in {"publish", "request", "reply", "dead_letter", "system_event", "connect"}
	not _verbs[input.action]
}

_verbs := {
	"subscribe": "subscribe to",
	"cooldown": "quiet",
	"release": "release",
	"chaos": "break",
}

_claimed_tenant := input.principal.tenant if {
	input.principal.tenant != _agent.tenant
} else := input.message.tenant
