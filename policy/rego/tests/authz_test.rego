package assent.authz_test

import data.assent.authz

_agents := {
	"planner": {"tenant": "acme", "roles": ["planner", "watched"]},
	"worker": {"tenant": "acme", "roles": ["worker"], "enabled": true},
	"retired": {"tenant": "acme", "roles": ["planner"], "enabled": false},
	"stranger": {"tenant": "other", "roles": ["planner"]},
	"asleep": {"tenant": "closed", "roles": ["planner"]},
	"intruder": {"tenant": "acme", "roles": []},
	"lost": {"tenant": "nowhere", "roles": ["planner"]},
}

_roles := {
	"planner": {
		"publish": [{"subject": "plans.>"}, {"subject": "tasks.*", "types": ["task_request"]}],
		"request": [{"subject": "questions.*"}],
		"subscribe": ["results.>", "$DEAD.tasks.>"],
		"cooldown": ["tasks.>"],
		"release": ["payments.*"],
		"chaos": ["policy.latency"],
		"limits": {"body_bytes": 1000, "depth": 4},
		"ttl_seconds": 60,
		"redact_headers": ["authorization"],
	},
	"watched": {"ttl_seconds": 30},
	"worker": {"subscribe": ["tasks.*", ">"]},
}

_tenants := {"acme": {}, "other": {"enabled": true}, "closed": {"enabled": false}}

_message(sender, tenant, subject, type) := {
	"principal": {"id": sender, "tenant": tenant},
	"message": {"subject": subject, "type": type, "tenant": tenant},
}

_subscription(sender, pattern) := {
	"action": "subscribe",
	"principal": {"id": sender, "tenant": "acme"},
	"subscription": {"pattern": pattern, "queue": ""},
}

_decide(document) := made if {
	made := authz.decision with input as document
		with data.agents as _agents
		with data.roles as _roles
		with data.tenants as _tenants
		with data.limits as {"depth": 8}
}

_do(action, document) := _decide(object.union({"action": action}, document))

_denied(made, reason) if {
	made.allow == false
	made.reasons == [reason]
	made.obligations == []
}

_plan := _message("planner", "acme", "plans.today", "event")

test_a_granted_subject_is_allowed if _do("publish", _plan).allow

test_a_granted_type_is_allowed if {
	_do("publish", _message("planner", "acme", "tasks.a", "task_request")).allow
}

test_an_allow_has_no_reasons if _do("publish", _plan).reasons == []

test_another_type_is_denied if _denied(
	_do("publish", _message("planner", "acme", "tasks.a", "event")),
	"agent planner has no role that may publish event on tasks.a",
)

test_a_role_without_a_grant_denies if _denied(
	_do("publish", _message("intruder", "acme", "plans.x", "task_request")),
	"agent intruder has no role that may publish task_request on plans.x",
)

test_a_right_to_publish_is_none_to_request if _denied(
	_do("request", _plan),
	"agent planner has no role that may request event on plans.today",
)

test_a_granted_request_is_allowed if {
	_do("request", _message("planner", "acme", "questions.a", "query")).allow
}

test_an_unknown_agent_is_denied if _denied(
	_do("publish", _message("nobody", "acme", "plans.x", "event")),
	"unknown agent nobody",
)

test_a_disabled_agent_is_denied if _denied(
	_do("publish", _message("retired", "acme", "plans.x", "event")),
	"agent retired is disabled",
)

test_a_disabled_tenant_is_denied if _denied(
	_do("publish", _message("asleep", "closed", "plans.x", "event")),
	"tenant closed is disabled",
)

test_an_unknown_tenant_is_denied if _denied(
	_do("publish", _message("lost", "nowhere", "plans.x", "event")),
	"tenant nowhere is disabled",
)

test_allow_is_false_and_not_undefined if {
	authz.allow == false with input as {}
}

test_another_tenant_is_denied if _denied(
	_do("publish", _message("stranger", "acme", "plans.x", "event")),
	"agent stranger belongs to tenant other, not to acme",
)

test_a_message_of_another_tenant_is_denied if _denied(
	_do("publish", {
		"principal": {"id": "planner", "tenant": "acme"},
		"message": {"subject": "plans.x", "type": "event", "tenant": "other"},
	}),
	"agent planner belongs to tenant acme, not to other",
)

test_a_message_without_a_tenant_is_denied if {
	not _do("publish", {
		"principal": {"id": "planner", "tenant": "acme"},
		"message": {"subject": "plans.x", "type": "event"},
	}).allow
}

test_subjects_of_the_bus_are_denied if {
	every action in ["publish", "request"] {
		_denied(
			_do(action, _message("planner", "acme", "$DEAD.x", "event")),
			"subject $DEAD.x belongs to the bus",
		)
	}
}

test_a_reply_to_an_inbox_is_allowed if {
	_do("reply", _message("worker", "acme", "$INBOX.planner.1", "response")).allow
}

test_a_reply_elsewhere_is_denied if _denied(
	_do("reply", _message("worker", "acme", "plans.x", "response")),
	"a reply goes to an inbox, not to plans.x",
)

test_a_disabled_agent_does_not_reply if {
	not _do("reply", _message("retired", "acme", "$INBOX.a", "response")).allow
}

test_the_bus_puts_dead_letters_aside_in_every_tenant if {
	every tenant in ["acme", "other", "third"] {
		_do("dead_letter", _message("$bus", tenant, "$DEAD.tasks.a", "event")).allow
	}
}

test_the_bus_does_nothing_else if {
	every action in ["publish", "request", "reply"] {
		not _do(action, _message("$bus", "acme", "$DEAD.tasks.a", "event")).allow
	}
}

test_the_bus_puts_nothing_aside_elsewhere if {
	not _do("dead_letter", _message("$bus", "acme", "tasks.a", "event")).allow
}

test_an_agent_puts_no_dead_letters_aside if _denied(
	_do("dead_letter", _message("planner", "acme", "$DEAD.plans.a", "event")),
	"only the bus puts dead letters aside",
)

test_the_bus_tells_of_its_own_parts_in_every_tenant if {
	every tenant in ["acme", "other", "third"] {
		_do("system_event", _message("$bus", tenant, "$SYS.recovery.store", "event")).allow
	}
}

test_the_bus_tells_of_them_nowhere_else if {
	not _do("system_event", _message("$bus", "acme", "tasks.a", "event")).allow
	not _do("system_event", _message("$bus", "acme", "$DEAD.tasks.a", "event")).allow
	not _do("dead_letter", _message("$bus", "acme", "$SYS.recovery.store", "event")).allow
}

test_the_bus_tells_of_them_in_the_tenant_it_is_asked_for if {
	message := _message("$bus", "acme", "$SYS.recovery.store", "event")
	not _decide({
		"action": "system_event",
		"principal": {"id": "$bus", "tenant": "other"},
		"message": message,
	}).allow
}

test_an_agent_tells_of_no_parts if _denied(
	_do("system_event", _message("planner", "acme", "$SYS.recovery.store", "event")),
	"only the bus tells of its own parts",
)

test_a_known_agent_connects if _decide({
	"action": "connect",
	"principal": {"id": "worker", "tenant": "acme"},
	"subscription": {"pattern": "", "queue": ""},
}).allow

test_an_agent_connects_in_its_own_tenant_only if _denied(
	_decide({"action": "connect", "principal": {"id": "worker", "tenant": "other"}}),
	"agent worker belongs to tenant acme, not to other",
)

test_a_disabled_agent_does_not_connect if _denied(
	_decide({"action": "connect", "principal": {"id": "retired", "tenant": "acme"}}),
	"agent retired is disabled",
)

test_a_granted_pattern_is_subscribed if _decide(_subscription("planner", "results.a.>")).allow

test_a_wider_pattern_is_denied if _denied(
	_decide(_subscription("intruder", "tasks.>")),
	"agent intruder has no role that may subscribe to tasks.>",
)

test_dead_letters_need_a_grant_of_their_own if {
	_decide(_subscription("planner", "$DEAD.tasks.a")).allow
	_denied(
		_decide(_subscription("worker", "$DEAD.tasks.a")),
		"agent worker has no role that may subscribe to $DEAD.tasks.a",
	)
}

test_inboxes_are_not_subscribed if _denied(
	_decide(_subscription("worker", "$INBOX.>")),
	"pattern $INBOX.> belongs to the bus",
)

_access(action, sender, pattern) := object.union(_subscription(sender, pattern), {"action": action})

test_a_granted_subject_is_quieted_and_released if {
	_decide(_access("cooldown", "planner", "tasks.a")).allow
	_decide(_access("release", "planner", "payments.a")).allow
}

test_quieting_and_releasing_need_grants_of_their_own if {
	_denied(
		_decide(_access("cooldown", "planner", "payments.a")),
		"agent planner has no role that may quiet payments.a",
	)
	_denied(
		_decide(_access("release", "worker", "tasks.a")),
		"agent worker has no role that may release tasks.a",
	)
}

test_subjects_of_the_bus_are_not_quieted_or_released if {
	every action in ["cooldown", "release"] {
		_denied(
			_decide(_access(action, "planner", "$DEAD.tasks.a")),
			"pattern $DEAD.tasks.a belongs to the bus",
		)
	}
}

test_breaking_a_component_needs_a_grant_of_its_own if {
	_decide(_access("chaos", "planner", "policy.latency")).allow
	_denied(
		_decide(_access("chaos", "planner", "policy.partition")),
		"agent planner has no role that may break policy.partition",
	)
	_denied(
		_decide(_access("chaos", "worker", "policy.latency")),
		"agent worker has no role that may break policy.latency",
	)
}

test_another_tenant_quiets_nothing if {
	not _decide(object.union(
		_access("cooldown", "planner", "tasks.a"),
		{"principal": {"id": "planner", "tenant": "other"}},
	)).allow
}

test_an_unknown_action_is_denied if _denied(
	_do("delete", _plan),
	"unknown action delete",
)

test_nothing_is_denied_without_a_reason if count(_decide({}).reasons) > 0

test_limits_go_out_as_obligations if {
	wanted := {
		{"type": "limit", "depth": 8},
		{"type": "limit", "body_bytes": 1000, "depth": 4},
		{"type": "ttl", "seconds": 60},
		{"type": "ttl", "seconds": 30},
		{"type": "redact", "headers": ["authorization"]},
	}
	wanted == {obligation | some obligation in _do("publish", _plan).obligations}
}

test_a_subscription_obliges_nothing if {
	_decide(_subscription("planner", "results.a")).obligations == []
}

test_what_an_area_denies_is_denied_for_its_reason if {
	made := _do("publish", _plan) with authz.deny as {"area: no"}
	_denied(made, "area: no")
}

test_what_an_area_obliges_is_added if {
	made := _do("publish", _plan) with authz.obligations as {{"type": "audit", "level": "full"}}
	made.allow
	made.obligations == [{"type": "audit", "level": "full"}]
}
