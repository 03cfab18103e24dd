package assent.library.resources_test

import data.assent.asked_test as asked
import data.assent.library.resources

_data := {
	"subjects": [
		{"subject": ">", "body_bytes": 65536},
		{"subject": "plans.>", "types": ["command"], "depth": 2},
		{"subject": "beats.*", "ttl_seconds": 5},
	],
	"priorities": {"critical": ["controller"], "high": ["controller", "planner"]},
}

_size := {"type": "limit", "body_bytes": 65536}

_at(roles, priority) := asked.told(roles, "work.a", "event", {"priority": priority})

_cases := {
	"a subject": {
		"input": _at([], 1),
		"deny": set(),
		"obligations": {_size},
	},
	"a subject for one type": {
		"input": asked.told([], "plans.a", "command", {"priority": 1}),
		"deny": set(),
		"obligations": {_size, {"type": "limit", "depth": 2}},
	},
	"and for another": {
		"input": asked.told([], "plans.a", "event", {"priority": 1}),
		"deny": set(),
		"obligations": {_size},
	},
	"what does not live long": {
		"input": asked.told([], "beats.a", "event", {"priority": 0}),
		"deny": set(),
		"obligations": {_size, {"type": "ttl", "seconds": 5}},
	},
	"a priority that its role may ask for": {
		"input": _at(["planner"], 2),
		"deny": set(),
		"obligations": {_size},
	},
	"one that it may not": {
		"input": _at(["planner"], 3),
		"deny": {"resources: priority critical needs one of the roles controller"},
		"obligations": {_size},
	},
	"no role": {
		"input": _at([], 2),
		"deny": {"resources: priority high needs one of the roles controller, planner"},
		"obligations": {_size},
	},
	"a reply": {
		"input": asked.does(asked.told([], "$INBOX.b", "response", {"priority": 3}), "reply"),
		"deny": {"resources: priority critical needs one of the roles controller"},
		"obligations": set(),
	},
	"a dead letter": {
		"input": object.union(asked.by_the_bus("$DEAD.a"), {"message": {"priority": 3}}),
		"deny": set(),
		"obligations": set(),
	},
	"listening": {
		"input": asked.wanted("subscribe", [], "beats.*"),
		"deny": set(),
		"obligations": set(),
	},
}

_right(case) if {
	resources.deny == case.deny with input as case.input with data.resources as _data
	resources.obligations == case.obligations with input as case.input with data.resources as _data
}

_wrong contains note if {
	some note, case in _cases
	not _right(case)
}

test_every_case_comes_out_as_it_says if {
	print(_wrong)
	count(_wrong) == 0
}
