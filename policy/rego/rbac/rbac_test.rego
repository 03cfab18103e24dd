package assent.library.rbac_test

import data.assent.asked_test as asked
import data.assent.library.rbac

_data := {
	"inherits": {"lead": ["clerk"], "clerk": ["reader"]},
	"exclusive": [["payer", "approver"], ["clerk", "auditor"]],
	"restricted": [
		{"subject": "payments.>", "roles": ["payer", "clerk"]},
		{"subject": "ledger.*", "roles": ["reader"], "actions": ["subscribe"]},
	],
}

_payments := {"rbac: publish under payments.> needs one of the roles clerk, payer"}

_listening := {"rbac: subscribe under payments.> needs one of the roles clerk, payer"}

_cases := {
	"nothing is said of a subject": {"input": asked.sent([], "plans.a", "event"), "deny": set()},
	"a role that is needed": {"input": asked.sent(["payer"], "payments.a", "event"), "deny": set()},
	"a role that is inherited": {"input": asked.sent(["lead"], "payments.a", "event"), "deny": set()},
	"a role that is inherited by way of another": {
		"input": asked.wanted("subscribe", ["lead"], "ledger.a"),
		"deny": set(),
	},
	"a role that is missing": {"input": asked.sent(["x"], "payments.a", "event"), "deny": _payments},
	"no role at all": {"input": asked.sent([], "payments.a", "event"), "deny": _payments},
	"a request": {
		"input": asked.does(asked.sent([], "payments.a", "query"), "request"),
		"deny": {"rbac: request under payments.> needs one of the roles clerk, payer"},
	},
	"a pattern below": {"input": asked.wanted("subscribe", [], "payments.a.b"), "deny": _listening},
	"a pattern that only meets it": {
		"input": asked.wanted("subscribe", [], ">"),
		"deny": _listening | {"rbac: subscribe under ledger.* needs one of the roles reader"},
	},
	"a pattern beside it": {"input": asked.wanted("subscribe", [], "plans.>"), "deny": set()},
	"an action that is not named": {"input": asked.sent([], "ledger.a", "event"), "deny": set()},
	"roles that exclude one another": {
		"input": asked.sent(["payer", "approver"], "plans.a", "event"),
		"deny": {"rbac: agent ann has roles that exclude one another: approver, payer"},
	},
	"roles that do by inheritance": {
		"input": asked.connects(["lead", "auditor"]),
		"deny": {"rbac: agent ann has roles that exclude one another: auditor, clerk"},
	},
	"one of such roles": {"input": asked.connects(["payer", "auditor"]), "deny": set()},
	"a dead letter": {"input": asked.by_the_bus("$DEAD.payments.a"), "deny": set()},
}

_right(case) if {
	rbac.deny == case.deny with input as case.input with data.rbac as _data
}

_wrong contains note if {
	some note, case in _cases
	not _right(case)
}

test_every_case_comes_out_as_it_says if {
	print(_wrong)
	count(_wrong) == 0
}

test_nothing_is_inherited_where_nothing_says_so if {
	rbac.roles == {"lead"} with input as asked.connects(["lead"]) with data.rbac as {}
}
