# How many messages a second. Policy says how many, the bus counts.
#
# Data: ratelimit.agents.NAME, .roles.NAME, .agent; .tenants.NAME, .tenant; .subjects.
# Each is {"per_second", "burst"}; per_second 0 closes.
package assent.library.ratelimit

import data.assent.questions

# The most particular entry counts; of several equally particular ones the strictest.

_agent := rate if {
	rate := data.ratelimit.agents[input.principal.id]
} else := rate if {
	rate := _strictest([of_role |
		some role in questions.roles
		of_role := data.ratelimit.roles[role]
	])
} else := data.ratelimit.agent

_tenant := rate if {
	rate := data.ratelimit.tenants[input.principal.tenant]
} else := data.ratelimit.tenant

_subject := _strictest([rule |
	some rule in data.ratelimit.subjects
	questions.matches(rule)
])

# Of no rates there is no strictest.
_strictest(rates) := {
	"per_second": min([rate.per_second | some rate in rates]),
	"burst": min([rate.burst | some rate in rates]),
}

_rates contains {"key": "agent", "rate": _agent}

_rates contains {"key": "tenant", "rate": _tenant}

_rates contains {"key": "subject", "rate": _subject}

deny contains sprintf("ratelimit: this %s is closed", [entry.key]) if {
	questions.sends
	some entry in _rates
	entry.rate.per_second == 0
}

obligations contains {
	"type": "rate",
	"key": entry.key,
	"per_second": entry.rate.per_second,
	"burst": entry.rate.burst,
} if {
	questions.sends
	some entry in _rates
	entry.rate.per_second > 0
}
