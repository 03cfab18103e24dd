package assent.library.audit_test

import data.assent.asked_test as asked
import data.assent.library.audit

_data := {
	"full": [
		{"subject": "payments.>"},
		{"subject": "plans.>", "types": ["command"]},
		{"subject": "tools.>", "roles": ["intern"]},
	],
	"records": {"subject": "audit.>", "readers": ["auditor", "legal"]},
}

_full := {{"type": "audit", "level": "full"}}

_reading := {"audit: reading audit.> needs one of the roles auditor, legal"}

_cases := {
	"a subject": {
		"input": asked.sent([], "payments.a", "event"),
		"deny": set(),
		"obligations": _full,
	},
	"a subject for one type": {
		"input": asked.sent([], "plans.a", "command"),
		"deny": set(),
		"obligations": _full,
	},
	"and for another": {
		"input": asked.sent([], "plans.a", "event"),
		"deny": set(),
		"obligations": set(),
	},
	"a subject for one role": {
		"input": asked.sent(["intern"], "tools.a", "event"),
		"deny": set(),
		"obligations": _full,
	},
	"and for another role": {
		"input": asked.sent(["clerk"], "tools.a", "event"),
		"deny": set(),
		"obligations": set(),
	},
	"a record": {
		"input": asked.sent([], "audit.a", "audit_log"),
		"deny": set(),
		"obligations": set(),
	},
	"something else among the records": {
		"input": asked.sent([], "audit.a", "event"),
		"deny": {"audit: audit.a takes audit_log only, not event"},
		"obligations": set(),
	},
	"a record elsewhere": {
		"input": asked.sent([], "plans.a", "audit_log"),
		"deny": {"audit: an audit_log goes under audit.>"},
		"obligations": set(),
	},
	"a reader": {
		"input": asked.wanted("subscribe", ["legal"], "audit.a"),
		"deny": set(),
		"obligations": set(),
	},
	"nobody in particular": {
		"input": asked.wanted("subscribe", ["clerk"], "audit.a"),
		"deny": _reading,
		"obligations": set(),
	},
	"by way of a wider pattern": {
		"input": asked.wanted("subscribe", [], ">"),
		"deny": _reading,
		"obligations": set(),
	},
	"another pattern": {
		"input": asked.wanted("subscribe", [], "plans.>"),
		"deny": set(),
		"obligations": set(),
	},
	"a record that is put aside": {
		"input": object.union(
			asked.by_the_bus("$DEAD.audit.a"),
			{"message": {"type": "audit_log"}},
		),
		"deny": set(),
		"obligations": set(),
	},
	"a dead letter": {
		"input": asked.by_the_bus("$DEAD.audit.a"),
		"deny": set(),
		"obligations": set(),
	},
}

_right(case) if {
	audit.deny == case.deny with input as case.input with data.audit as _data
	audit.obligations == case.obligations with input as case.input with data.audit as _data
}

_wrong contains note if {
	some note, case in _cases
	not _right(case)
}

test_every_case_comes_out_as_it_says if {
	print(_wrong)
	count(_wrong) == 0
}

test_records_go_anywhere_where_no_place_is_named if {
	audit.deny == set() with input as asked.sent([], "plans.a", "audit_log")
		with data.audit as {"full": []}
}
