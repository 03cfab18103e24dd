package assent.library.constitutional_test

import data.assent.asked_test as asked
import data.assent.library.constitutional

# As in powers.toml; a test in Python compares.
_permissions := {
	"propose": {"types": ["governance_request"]},
	"extract_rules": {"types": ["governance_response"]},
	"synthesize": {"types": ["task_response"]},
	"query": {"types": ["query"]},
	"monitor_activity": {"types": ["notification"]},
	"enforce_control": {"types": ["command"]},
	"validate": {
		"types": ["constitutional_validation"],
		"actions": ["release"],
		"judges": true,
	},
	"audit": {"types": ["audit_log"], "judges": true},
	"emergency_cooldown": {"actions": ["cooldown"]},
}

_roles := {
	"executive": {"permissions": ["propose", "synthesize", "query"]},
	"legislative": {"permissions": ["extract_rules", "synthesize", "query"]},
	"judicial": {
		"permissions": ["validate", "audit", "query", "emergency_cooldown"],
		"validates": ["executive", "legislative", "implementer"],
	},
	"monitor": {"permissions": ["monitor_activity", "query"]},
	"auditor": {
		"permissions": ["audit", "query"],
		"validates": ["monitor", "controller", "implementer"],
	},
	"controller": {"permissions": ["enforce_control", "query"]},
	"implementer": {"permissions": ["synthesize", "query"]},
}

powers := {"permissions": _permissions, "roles": _roles}

# An agent of each role, named like it, with a role that is not among the powers as well.
_agents := object.union(
	{role: {"tenant": "acme", "roles": ["staff", role]} | some role, _ in _roles},
	{
		"judge2": {"tenant": "acme", "roles": ["judicial"]},
		"clerk": {"tenant": "acme", "roles": ["staff"]},
		"both": {"tenant": "acme", "roles": ["judicial", "executive"]},
		"bare": {"tenant": "acme"},
	},
)

_denied(document) := reasons if {
	reasons := constitutional.deny with input as document
		with data.powers as powers
		with data.agents as _agents
}

_publishes(agent, type, authors) := asked.by(
	asked.told([], "council.a", type, {"authors": authors}),
	agent, "acme",
)

_does(agent, action) := asked.by(asked.wanted(action, [], "tasks.a"), agent, "acme")

# Who may do what: role by role, the permission that a question takes and its answer.

_questions := {
	"propose": ["governance_request"],
	"extract_rules": ["governance_response"],
	"synthesize": ["task_response"],
	"query": ["query"],
	"monitor_activity": ["notification"],
	"enforce_control": ["command"],
}

_free := {"event", "response", "heartbeat", "task_request"}

_unlike(role, permission) if {
	permission in _roles[role].permissions
	some type in _questions[permission]
	count(_denied(_publishes(role, type, []))) > 0
}

_unlike(role, permission) if {
	not permission in _roles[role].permissions
	some type in _questions[permission]
	reason := sprintf("role violation: %s may not %s", [role, permission])
	_denied(_publishes(role, type, [])) != {reason}
}

test_each_role_may_what_it_may_and_nothing_else if {
	wrong := {[role, permission] |
		some role, _ in _roles
		some permission, _ in _questions
		_unlike(role, permission)
	}
	print(wrong)
	count(wrong) == 0
}

test_what_takes_no_permission_is_free if {
	every type in _free {
		every agent in ["executive", "monitor", "clerk", "bare", "nobody"] {
			_denied(_publishes(agent, type, [])) == set()
		}
	}
}

test_only_the_judicial_quiets_and_releases if {
	every role, _ in _roles {
		allowed := {action |
			some action in ["cooldown", "release"]
			count(_denied(_does(role, action))) == 0
		}
		allowed == {action | some action in ["cooldown", "release"]; role == "judicial"}
	}
	_denied(_does("controller", "cooldown")) == {"role violation: controller may not emergency_cooldown"}
	_denied(_does("controller", "release")) == {"role violation: controller may not validate"}
	_denied(_does("clerk", "cooldown")) == {"role not assigned: agent clerk has no role that may emergency_cooldown"}
}

# Letting go of what is held judges it.

_lets_go(agent, sender, authors) := object.union(
	_does(agent, "release"),
	{"held": {"sender": sender, "authors": authors}},
)

test_a_release_judges if {
	cross := "cross-role validation: judicial may not judge"
	had := "self-validation: agent judicial had a part in what it judges"
	cases := [
		{"sender": "executive", "authors": [], "denied": set()},
		{"sender": "implementer", "authors": ["controller"], "denied": set()},
		{"sender": "clerk", "authors": [], "denied": set()},
		{"sender": "gone", "authors": [], "denied": set()},
		{"sender": "controller", "authors": [], "denied": {sprintf("%s controller", [cross])}},
		{"sender": "executive", "authors": ["judicial"], "denied": {had}},
		{"sender": "judicial", "authors": [], "denied": {had, sprintf("%s judicial", [cross])}},
	]
	every case in cases {
		_denied(_lets_go("judicial", case.sender, case.authors)) == case.denied
	}
}

test_only_a_release_judges_what_is_held if {
	asks := _publishes("judicial", "constitutional_validation", ["executive"])
	_denied(object.union(asks, {"held": {"sender": "controller", "authors": ["judicial"]}})) == set()
}

test_a_release_judges_only_where_its_permission_does if {
	lax := {
		"permissions": {"let_go": {"actions": ["release"]}, "audit": _permissions.audit},
		"roles": {"judicial": {"permissions": ["let_go"]}, "controller": {"permissions": []}},
	}
	document := _lets_go("judicial", "controller", [])
	denied := constitutional.deny with input as document
		with data.powers as lax
		with data.agents as _agents
	denied == set()
}

# Who judges whom: judge by judge, the role that made what is judged.

_judges := {
	"judicial": {
		"constitutional_validation": {"executive", "legislative", "implementer"},
		"audit_log": {"executive", "legislative", "implementer"},
	},
	"auditor": {"audit_log": {"monitor", "controller", "implementer"}},
}

_misjudged(judge, type, author) if {
	author in _judges[judge][type]
	count(_denied(_publishes(judge, type, [author]))) > 0
}

_misjudged(judge, type, author) if {
	not author in _judges[judge][type]
	author != judge
	reason := sprintf("cross-role validation: %s may not judge %s", [judge, author])
	_denied(_publishes(judge, type, [author])) != {reason}
}

test_judges_judge_whom_they_may_and_nobody_else if {
	wrong := {[judge, type, author] |
		some judge, types in _judges
		some type, _ in types
		some author, _ in _roles
		_misjudged(judge, type, author)
	}
	print(wrong)
	count(wrong) == 0
}

_judgements := {
	"of an agent that asked, of what was made": {
		"input": _publishes("judicial", "constitutional_validation", ["monitor", "executive"]),
		"deny": set(),
	},
	"what another judge had a part in": {
		"input": _publishes("judicial", "constitutional_validation", ["judge2", "executive"]),
		"deny": set(),
	},
	"asking is not judging": {
		"input": _publishes("judicial", "query", ["judicial", "clerk"]),
		"deny": set(),
	},
	"and follows from anybody": {
		"input": _publishes("judicial", "query", ["monitor"]),
		"deny": set(),
	},
	"its own": {
		"input": _publishes("judicial", "constitutional_validation", ["judicial"]),
		"deny": {
			"self-validation: agent judicial had a part in what it judges",
			"cross-role validation: judicial may not judge judicial",
		},
	},
	"its own, through another": {
		"input": _publishes("judicial", "constitutional_validation", ["judicial", "executive"]),
		"deny": {"self-validation: agent judicial had a part in what it judges"},
	},
	"its own, several hops ago": {
		"input": _publishes(
			"judicial",
			"constitutional_validation",
			["monitor", "judicial", "legislative", "executive", "implementer"],
		),
		"deny": {"self-validation: agent judicial had a part in what it judges"},
	},
	"an auditor's own": {
		"input": _publishes("auditor", "audit_log", ["auditor", "implementer"]),
		"deny": {"self-validation: agent auditor had a part in what it judges"},
	},
	"another judge's": {
		"input": _publishes("judicial", "constitutional_validation", ["judge2"]),
		"deny": {"cross-role validation: judicial may not judge judicial"},
	},
	"nothing": {
		"input": _publishes("judicial", "constitutional_validation", []),
		"deny": {"cross-role validation: the message follows from none, so it judges nothing"},
	},
	"of somebody without a role": {
		"input": _publishes("judicial", "constitutional_validation", ["executive", "clerk"]),
		"deny": {"role not assigned: agent clerk, who is judged, has no role"},
	},
	"of somebody who is gone": {
		"input": _publishes("judicial", "constitutional_validation", ["gone"]),
		"deny": {"role not assigned: agent gone, who is judged, has no role"},
	},
	"by somebody without a role": {
		"input": _publishes("clerk", "constitutional_validation", ["executive"]),
		"deny": {"role not assigned: agent clerk has no role that may validate"},
	},
	"by a role that does not judge": {
		"input": _publishes("executive", "constitutional_validation", ["legislative"]),
		"deny": {
			"role violation: executive may not validate",
			"cross-role validation: executive may not judge legislative",
		},
	},
	"by an agent with two roles": {
		"input": _publishes("both", "event", []),
		"deny": {"role violation: agent both is executive and judicial at once"},
	},
	"in a reply": {
		"input": asked.does(
			_publishes("executive", "constitutional_validation", ["implementer"]),
			"reply",
		),
		"deny": {
			"role violation: executive may not validate",
			"cross-role validation: executive may not judge implementer",
		},
	},
	"a dead letter": {
		"input": asked.does(_publishes("$bus", "audit_log", []), "dead_letter"),
		"deny": set(),
	},
	"without a word on the authors": {
		"input": asked.by(asked.sent([], "a", "audit_log"), "auditor", "acme"),
		"deny": {"cross-role validation: the message follows from none, so it judges nothing"},
	},
}

test_judgements_come_out_as_they_say if {
	wrong := {note | some note, case in _judgements; not _denied(case.input) == case.deny}
	print(wrong)
	count(wrong) == 0
}

# A permission may be for some subjects only; of several that fit one is enough.

_narrow := object.union(powers, {"permissions": {
	"propose": {"types": ["governance_request"], "subject": "council.>"},
	"synthesize": {"types": ["task_response", "governance_response"]},
}})

_narrowly(agent, subject, type) := reasons if {
	document := asked.by(asked.sent([], subject, type), agent, "acme")
	reasons := constitutional.deny with input as document
		with data.powers as _narrow
		with data.agents as _agents
}

test_a_permission_may_be_for_some_subjects if {
	_narrowly("executive", "council.a", "governance_request") == set()
	_narrowly("monitor", "council.a", "governance_request") == {"role violation: monitor may not propose"}
	_narrowly("monitor", "elsewhere.a", "governance_request") == set()
}

test_one_of_several_permissions_is_enough if {
	_narrowly("executive", "a", "governance_response") == set()
	_narrowly("monitor", "a", "governance_response") == {"role violation: monitor may not extract_rules or synthesize"}
}
