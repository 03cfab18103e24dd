package assent.library.multitenant_test

import data.assent.asked_test as asked
import data.assent.library.multitenant

_data := {"tenants": {
	"acme": {"subjects": ["acme.>", "shared.*"], "limits": {"body_bytes": 1000, "depth": 3}},
	"bare": {"subjects": ["bare.>"], "limits": {}},
}}

_limit := {{"type": "limit", "body_bytes": 1000, "depth": 3}}

_out := {"multitenant: pattern shared.> leads out of tenant acme"}

_cases := {
	"its own subject": {
		"input": asked.sent([], "acme.a.b", "event"),
		"deny": set(),
		"obligations": _limit,
	},
	"one that it shares": {
		"input": asked.sent([], "shared.a", "event"),
		"deny": set(),
		"obligations": _limit,
	},
	"another's": {
		"input": asked.sent([], "bare.a", "event"),
		"deny": {"multitenant: subject bare.a is none of tenant acme"},
		"obligations": _limit,
	},
	"a tenant without limits": {
		"input": asked.by(asked.sent([], "bare.a", "event"), "bob", "bare"),
		"deny": set(),
		"obligations": set(),
	},
	"a tenant without an entry": {
		"input": asked.by(asked.sent([], "acme.a", "event"), "bob", "nobody"),
		"deny": {"multitenant: tenant nobody has no subjects"},
		"obligations": set(),
	},
	"such a tenant's agent listens": {
		"input": asked.by(asked.wanted("subscribe", [], "acme.>"), "bob", "nobody"),
		"deny": {"multitenant: tenant nobody has no subjects"},
		"obligations": set(),
	},
	"an agent connects": {
		"input": asked.connects([]),
		"deny": set(),
		"obligations": set(),
	},
	"such a tenant's agent connects": {
		"input": asked.by(asked.connects([]), "bob", "nobody"),
		"deny": {"multitenant: tenant nobody has no subjects"},
		"obligations": set(),
	},
	"a reply": {
		"input": asked.does(asked.sent([], "$INBOX.bob.1", "response"), "reply"),
		"deny": set(),
		"obligations": _limit,
	},
	"the bus puts a letter aside": {
		"input": asked.by(asked.by_the_bus("$DEAD.x"), "$bus", "nobody"),
		"deny": set(),
		"obligations": set(),
	},
	"a pattern within": {
		"input": asked.wanted("subscribe", [], "acme.>"),
		"deny": set(),
		"obligations": set(),
	},
	"a pattern that leads out": {
		"input": asked.wanted("subscribe", [], "shared.>"),
		"deny": _out,
		"obligations": set(),
	},
	"it is not quieted either": {
		"input": asked.wanted("cooldown", [], "shared.>"),
		"deny": _out,
		"obligations": set(),
	},
	"its dead letters": {
		"input": asked.wanted("subscribe", [], "$DEAD.acme.a"),
		"deny": set(),
		"obligations": set(),
	},
	"another's dead letters": {
		"input": asked.wanted("subscribe", [], "$DEAD.bare.a"),
		"deny": {"multitenant: pattern $DEAD.bare.a leads out of tenant acme"},
		"obligations": set(),
	},
	"a header that names the tenant": {
		"input": asked.told([], "acme.a", "event", {"headers": {"x-tenant-id": "acme"}}),
		"deny": set(),
		"obligations": _limit,
	},
	"a dead letter with such a header": {
		"input": object.union(
			asked.by_the_bus("$DEAD.acme.a"),
			{"message": {"headers": {"x-tenant-id": "bare"}}},
		),
		"deny": set(),
		"obligations": set(),
	},
	"a header that names another": {
		"input": asked.told([], "acme.a", "event", {"headers": {"x-tenant-id": "bare"}}),
		"deny": {"multitenant: header x-tenant-id names bare, not acme"},
		"obligations": _limit,
	},
}

_right(case) if {
	multitenant.deny == case.deny with input as case.input with data.multitenant as _data
	multitenant.obligations == case.obligations with input as case.input with data.multitenant as _data
}

_wrong contains note if {
	some note, case in _cases
	not _right(case)
}

test_every_case_comes_out_as_it_says if {
	print(_wrong)
	count(_wrong) == 0
}

test_without_data_nothing_is_denied if {
	multitenant.deny == set() with input as asked.told([], "a", "event", {"headers": {"x-tenant-id": "b"}})
}
