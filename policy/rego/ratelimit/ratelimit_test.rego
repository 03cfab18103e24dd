package assent.library.ratelimit_test

import data.assent.asked_test as asked
import data.assent.library.ratelimit

_data := {
	"agents": {"loud": {"per_second": 5, "burst": 5}, "shut": {"per_second": 0, "burst": 1}},
	"roles": {
		"feed": {"per_second": 1000, "burst": 50},
		"batch": {"per_second": 200, "burst": 100},
	},
	"agent": {"per_second": 10, "burst": 20},
	"tenants": {"acme": {"per_second": 2000, "burst": 500}},
	"tenant": {"per_second": 100, "burst": 100},
	"subjects": [
		{"subject": "mail.>", "per_second": 2, "burst": 10},
		{"subject": "mail.bulk", "per_second": 4, "burst": 1},
		{"subject": "ticks.*", "types": ["event"], "per_second": 0.5, "burst": 1},
		{"subject": "old.>", "per_second": 0, "burst": 1},
	],
}

_rate(key, per_second, burst) := {
	"type": "rate",
	"key": key,
	"per_second": per_second,
	"burst": burst,
}

_acme := _rate("tenant", 2000, 500)

_any := _rate("agent", 10, 20)

_loud := asked.by(asked.sent(["feed"], "plans.a", "event"), "loud", "acme")

_cases := {
	"an agent of which nothing is said": {
		"input": asked.sent([], "plans.a", "event"),
		"deny": set(),
		"obligations": {_any, _acme},
	},
	"a tenant of which nothing is said": {
		"input": asked.by(asked.sent([], "plans.a", "event"), "bob", "other"),
		"deny": set(),
		"obligations": {_any, _rate("tenant", 100, 100)},
	},
	"a role": {
		"input": asked.sent(["feed"], "plans.a", "event"),
		"deny": set(),
		"obligations": {_rate("agent", 1000, 50), _acme},
	},
	"of two roles the strictest of each": {
		"input": asked.sent(["feed", "batch"], "plans.a", "event"),
		"deny": set(),
		"obligations": {_rate("agent", 200, 50), _acme},
	},
	"an agent by name, whatever its role": {
		"input": _loud,
		"deny": set(),
		"obligations": {_rate("agent", 5, 5), _acme},
	},
	"an agent that is shut": {
		"input": asked.by(asked.sent([], "plans.a", "event"), "shut", "acme"),
		"deny": {"ratelimit: this agent is closed"},
		"obligations": {_acme},
	},
	"and still listens": {
		"input": asked.by(asked.wanted("subscribe", [], "plans.>"), "shut", "acme"),
		"deny": set(),
		"obligations": set(),
	},
	"a reply counts": {
		"input": asked.does(asked.sent([], "$INBOX.bob.1", "response"), "reply"),
		"deny": set(),
		"obligations": {_any, _acme},
	},
	"a subject": {
		"input": asked.sent([], "mail.a", "event"),
		"deny": set(),
		"obligations": {_any, _acme, _rate("subject", 2, 10)},
	},
	"of two entries the strictest of each": {
		"input": asked.sent([], "mail.bulk", "event"),
		"deny": set(),
		"obligations": {_any, _acme, _rate("subject", 2, 1)},
	},
	"a subject for one type": {
		"input": asked.sent([], "ticks.a", "event"),
		"deny": set(),
		"obligations": {_any, _acme, _rate("subject", 0.5, 1)},
	},
	"and for another": {
		"input": asked.sent([], "ticks.a", "command"),
		"deny": set(),
		"obligations": {_any, _acme},
	},
	"a subject that is shut": {
		"input": asked.sent([], "old.a", "event"),
		"deny": {"ratelimit: this subject is closed"},
		"obligations": {_any, _acme},
	},
	"listening is not counted": {
		"input": asked.wanted("subscribe", [], "mail.>"),
		"deny": set(),
		"obligations": set(),
	},
	"the bus is not counted": {
		"input": asked.by_the_bus("$DEAD.x"),
		"deny": set(),
		"obligations": set(),
	},
}

_right(case) if {
	ratelimit.deny == case.deny with input as case.input with data.ratelimit as _data
	ratelimit.obligations == case.obligations with input as case.input with data.ratelimit as _data
}

_wrong contains note if {
	some note, case in _cases
	not _right(case)
}

test_every_case_comes_out_as_it_says if {
	print(_wrong)
	count(_wrong) == 0
}
