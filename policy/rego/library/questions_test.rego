package assent.questions_test

import data.assent.asked_test as asked
import data.assent.questions

_patterns := ["", ">", "$DEAD.>", "tasks.*"]

test_a_message_concerns_the_pattern_it_falls_under if {
	questions.concerns("tasks.*") with input as asked.sent([], "tasks.a", "event")
	not questions.concerns("tasks.*") with input as asked.sent([], "plans.a", "event")
}

test_a_wanted_pattern_concerns_those_that_it_meets if {
	questions.concerns("tasks.*") with input as asked.wanted("subscribe", [], ">")
	not questions.concerns("tasks.*") with input as asked.wanted("subscribe", [], "plans.>")
}

test_what_the_bus_does_concerns_no_area if {
	every pattern in _patterns {
		not questions.concerns(pattern) with input as asked.by_the_bus("$DEAD.tasks.a")
		not questions.matches({"subject": pattern}) with input as asked.by_the_bus("$DEAD.a")
	}
}

test_connecting_concerns_no_pattern if {
	every pattern in _patterns {
		not questions.concerns(pattern) with input as asked.connects([])
	}
}

test_a_rule_matches_by_subject_and_type if {
	questions.matches({"subject": "tasks.*"}) with input as asked.sent([], "tasks.a", "event")
	typed := {"subject": "tasks.*", "types": ["command"]}
	questions.matches(typed) with input as asked.sent([], "tasks.a", "command")
	not questions.matches(typed) with input as asked.sent([], "tasks.a", "event")
	not questions.matches(typed) with input as asked.sent([], "plans.a", "command")
}
