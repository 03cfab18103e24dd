package assent.library.routing_test

import data.assent.asked_test as asked
import data.assent.library.routing

_data := {
	"closed": [{"subject": "legacy.>", "reason": "moved to plans"}],
	"types": [{"subject": "tasks.*", "types": ["task_request", "command"]}],
	"wide_roles": ["monitor"],
	"queues": [{"subject": "tasks.>", "queue": "workers"}],
}

_wide(pattern) := {sprintf("routing: a pattern as wide as %s needs one of the roles monitor", [pattern])}

_queue := {"routing: tasks.> is worked on in the queue group workers"}

_cases := {
	"an open subject": {"input": asked.sent([], "plans.a", "event"), "deny": set()},
	"a closed one": {
		"input": asked.sent([], "legacy.a", "event"),
		"deny": {"routing: legacy.> is closed: moved to plans"},
	},
	"listening to what is left there": {
		"input": asked.wanted("subscribe", [], "legacy.a"),
		"deny": set(),
	},
	"a type that is taken": {"input": asked.sent([], "tasks.a", "command"), "deny": set()},
	"a type that is not": {
		"input": asked.sent([], "tasks.a", "event"),
		"deny": {"routing: tasks.* takes command, task_request only, not event"},
	},
	"the same type elsewhere": {"input": asked.sent([], "tasks.a.b", "event"), "deny": set()},
	"a wide pattern": {
		"input": asked.queued(asked.wanted("subscribe", [], "*.a"), "workers"),
		"deny": _wide("*.a"),
	},
	"everything, by a role that may": {
		"input": asked.queued(asked.wanted("subscribe", ["monitor"], ">"), "workers"),
		"deny": set(),
	},
	"all dead letters": {
		"input": asked.wanted("subscribe", [], "$DEAD.>"),
		"deny": _wide("$DEAD.>"),
	},
	"dead letters of one subject": {
		"input": asked.wanted("subscribe", [], "$DEAD.tasks.>"),
		"deny": set(),
	},
	"in the group": {
		"input": asked.queued(asked.wanted("subscribe", [], "tasks.*"), "workers"),
		"deny": set(),
	},
	"beside the group": {"input": asked.wanted("subscribe", [], "tasks.*"), "deny": _queue},
	"in another group": {
		"input": asked.queued(asked.wanted("subscribe", [], "*.a"), "others"),
		"deny": _queue | _wide("*.a"),
	},
	"quieting": {"input": asked.wanted("cooldown", [], ">"), "deny": set()},
	"a dead letter": {"input": asked.by_the_bus("$DEAD.legacy.a"), "deny": set()},
}

_right(case) if {
	routing.deny == case.deny with input as case.input with data.routing as _data
}

_wrong contains note if {
	some note, case in _cases
	not _right(case)
}

test_every_case_comes_out_as_it_says if {
	print(_wrong)
	count(_wrong) == 0
}

test_any_pattern_where_no_role_is_named if {
	routing.deny == set() with input as asked.wanted("subscribe", [], ">") with data.routing as {}
}
