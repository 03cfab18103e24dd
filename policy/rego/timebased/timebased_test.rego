package assent.library.timebased_test

import data.assent.asked_test as asked
import data.assent.library.timebased

_data := {"rules": [
	{
		"subject": "deploy.>",
		"zone": "Europe/Berlin",
		"exempt_roles": ["oncall"],
		"open": [
			{"days": ["Monday", "Tuesday"], "since": "09:00", "until": "17:30"},
			{"days": ["Saturday"], "since": "22:00", "until": "24:00"},
		],
	},
	{"subject": "mail.*", "types": ["command"], "open": [{"since": "06:00", "until": "07:00"}]},
]}

# 2026-11-23 is a Monday, 2026-07-20 as well; Berlin is an hour ahead of UTC in winter and
# two in summer.
_at(when, roles, subject) := asked.told(roles, subject, "command", {"created_minute": floor(time.parse_rfc3339_ns(when) / 60000000000)})

_shut(weekday, clock) := {sprintf("timebased: deploy.> is not open on %s at %s Europe/Berlin", [
	weekday,
	clock,
])}

_cases := {
	"in the middle": {"input": _at("2026-11-23T12:00:00Z", [], "deploy.a"), "deny": set()},
	"the first minute": {"input": _at("2026-11-23T08:00:59Z", [], "deploy.a"), "deny": set()},
	"the minute before": {
		"input": _at("2026-11-23T07:59:59Z", [], "deploy.a"),
		"deny": _shut("Monday", "08:59"),
	},
	"the last minute": {"input": _at("2026-11-23T16:29:59Z", [], "deploy.a"), "deny": set()},
	"the minute after": {
		"input": _at("2026-11-23T16:30:00Z", [], "deploy.a"),
		"deny": _shut("Monday", "17:30"),
	},
	"in summer": {"input": _at("2026-07-20T07:00:00Z", [], "deploy.a"), "deny": set()},
	"another day": {
		"input": _at("2026-11-25T12:00:00Z", [], "deploy.a"),
		"deny": _shut("Wednesday", "13:00"),
	},
	"the day where the zone is": {
		"input": _at("2026-11-21T22:59:00Z", [], "deploy.a"),
		"deny": set(),
	},
	"past midnight": {
		"input": _at("2026-11-21T23:00:00Z", [], "deploy.a"),
		"deny": _shut("Sunday", "00:00"),
	},
	"a role that may always": {
		"input": _at("2026-11-25T12:00:00Z", ["oncall"], "deploy.a"),
		"deny": set(),
	},
	"another subject": {"input": _at("2026-11-25T12:00:00Z", [], "plans.a"), "deny": set()},
	"every day, in UTC": {"input": _at("2026-11-25T06:30:00Z", [], "mail.a"), "deny": set()},
	"too late for it": {
		"input": _at("2026-11-25T07:00:00Z", [], "mail.a"),
		"deny": {"timebased: mail.* is not open on Wednesday at 07:00 UTC"},
	},
	"another type": {
		"input": object.union(
			_at("2026-11-25T07:00:00Z", [], "mail.a"),
			{"message": {"type": "event"}},
		),
		"deny": set(),
	},
	"no time at all": {
		"input": asked.sent([], "plans.a", "event"),
		"deny": {"timebased: nothing says when the message was made"},
	},
	"a dead letter": {"input": asked.by_the_bus("$DEAD.deploy.a"), "deny": set()},
	"listening": {"input": asked.wanted("subscribe", [], "deploy.>"), "deny": set()},
}

_right(case) if {
	timebased.deny == case.deny with input as case.input with data.timebased as _data
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
	timebased.deny == set() with input as asked.sent([], "a", "event")
}
