package assent.library.compliance_test

import data.assent.asked_test as asked
import data.assent.library.compliance

_data := {
	"levels": ["public", "internal", "confidential"],
	"subjects": [
		{"subject": "reports.>", "up_to": "internal"},
		{"subject": "press.*", "types": ["event"], "up_to": "public"},
	],
	"classes": {
		"internal": {"redact_headers": ["authorization"]},
		"confidential": {"redact_headers": ["authorization", "cookie"], "ttl_seconds": 3600},
	},
	"content_types": ["application/json"],
	"review": [
		{
			"subject": "exports.>",
			"types": ["command"],
			"reason": "an export leaves the house",
			"seconds": 600,
		},
		{"subject": "exports.bulk", "reason": "so much of it"},
	],
}

_class(subject, class) := asked.told([], subject, "event", {
	"content_type": "application/json",
	"headers": {"classification": class},
})

_unclassed(subject, type) := asked.told([], subject, type, {
	"content_type": "application/json",
	"headers": {},
})

_internal := {{"type": "redact", "headers": ["authorization"]}}

_confidential := {
	{"type": "redact", "headers": ["authorization", "cookie"]},
	{"type": "ttl", "seconds": 3600},
}

_cases := {
	"no class, and none needed": {
		"input": _unclassed("plans.a", "event"),
		"deny": set(),
		"obligations": set(),
	},
	"no class where one is needed": {
		"input": _unclassed("reports.a", "event"),
		"deny": {"compliance: reports.a needs the header classification"},
		"obligations": set(),
	},
	"no class, for another type": {
		"input": _unclassed("press.a", "command"),
		"deny": set(),
		"obligations": set(),
	},
	"a class below the highest": {
		"input": _class("reports.a", "public"),
		"deny": set(),
		"obligations": set(),
	},
	"the highest class": {
		"input": _class("reports.a", "internal"),
		"deny": set(),
		"obligations": _internal,
	},
	"a class too high": {
		"input": _class("reports.a", "confidential"),
		"deny": {"compliance: reports.a takes internal at most, not confidential"},
		"obligations": _confidential,
	},
	"anywhere else": {
		"input": _class("plans.a", "confidential"),
		"deny": set(),
		"obligations": _confidential,
	},
	"a class that there is not": {
		"input": _class("plans.a", "secret"),
		"deny": {"compliance: there is no class secret"},
		"obligations": set(),
	},
	"another type of content": {
		"input": asked.told([], "plans.a", "event", {"content_type": "text/html", "headers": {}}),
		"deny": {"compliance: content of type text/html"},
		"obligations": set(),
	},
	"what is to be reviewed": {
		"input": _unclassed("exports.a", "command"),
		"deny": set(),
		"obligations": {{
			"type": "hold",
			"reason": "an export leaves the house",
			"seconds": 600,
		}},
	},
	"for two reasons": {
		"input": _unclassed("exports.bulk", "command"),
		"deny": set(),
		"obligations": {
			{"type": "hold", "reason": "an export leaves the house", "seconds": 600},
			{"type": "hold", "reason": "so much of it", "seconds": 300},
		},
	},
	"the same subject, another type": {
		"input": _unclassed("exports.a", "event"),
		"deny": set(),
		"obligations": set(),
	},
	"a reply has a class too": {
		"input": asked.does(_class("$INBOX.bob.1", "internal"), "reply"),
		"deny": set(),
		"obligations": _internal,
	},
	"listening": {
		"input": asked.wanted("subscribe", [], "reports.>"),
		"deny": set(),
		"obligations": set(),
	},
	"a dead letter is left as it is": {
		"input": asked.by(
			asked.does(
				asked.told([], "$DEAD.a", "event", {
					"content_type": "text/html",
					"headers": {"classification": "confidential"},
				}),
				"dead_letter",
			),
			"$bus",
			"acme",
		),
		"deny": set(),
		"obligations": set(),
	},
	"even of a class that there is not": {
		"input": asked.by(asked.does(_class("$DEAD.a", "secret"), "dead_letter"), "$bus", "acme"),
		"deny": set(),
		"obligations": set(),
	},
}

_right(case) if {
	compliance.deny == case.deny with input as case.input with data.compliance as _data
	compliance.obligations == case.obligations with input as case.input with data.compliance as _data
}

_wrong contains note if {
	some note, case in _cases
	not _right(case)
}

test_every_case_comes_out_as_it_says if {
	print(_wrong)
	count(_wrong) == 0
}

test_any_content_where_nothing_is_listed if {
	compliance.deny == set() with input as asked.told([], "a", "event", {"content_type": "text/html"})
		with data.compliance as {}
}

test_any_class_where_none_is_listed if {
	compliance.deny == set() with input as _class("plans.a", "secret") with data.compliance as {}
}
