package assent.subjects_test

import data.assent.subjects

test_a_pattern_covers_itself if subjects.covers("tasks.a", "tasks.a")

test_another_subject_is_not_covered if not subjects.covers("tasks.a", "tasks.b")

test_case_matters if not subjects.covers("tasks.a", "tasks.A")

test_star_covers_one_token if subjects.covers("tasks.*", "tasks.a")

test_star_covers_a_star if subjects.covers("tasks.*", "tasks.*")

test_star_in_the_middle_covers_one_token if subjects.covers("a.*.c", "a.b.c")

test_star_covers_no_second_token if not subjects.covers("tasks.*", "tasks.a.b")

test_star_covers_no_missing_token if not subjects.covers("tasks.*", "tasks")

test_a_wildcard_does_not_widen_a_grant if not subjects.covers("tasks.*", "tasks.>")

test_a_star_does_not_widen_a_literal if not subjects.covers("tasks.a", "tasks.*")

test_a_literal_in_the_middle_is_not_widened if not subjects.covers("a.b.>", "a.*.c")

test_tail_covers_one_token if subjects.covers("tasks.>", "tasks.a")

test_tail_covers_many_tokens if subjects.covers("tasks.>", "tasks.a.b.c")

test_tail_covers_a_tail if subjects.covers("tasks.>", "tasks.>")

test_tail_covers_a_longer_tail if subjects.covers("tasks.>", "tasks.a.>")

test_tail_does_not_cover_its_own_head if not subjects.covers("tasks.>", "tasks")

test_tail_does_not_cover_a_shorter_tail if not subjects.covers("tasks.a.>", "tasks.>")

test_star_before_tail_covers_one_token if subjects.covers("a.*.>", "a.b.c.d")

test_star_before_tail_does_not_cover_a_tail if not subjects.covers("a.*.>", "a.>")

test_everything_covers_everything if subjects.covers(">", ">")

test_everything_covers_a_subject if subjects.covers(">", "a.b")

test_everything_leaves_out_the_subjects_of_the_bus if {
	not subjects.covers(">", "$DEAD.a")
	not subjects.covers("*.a", "$DEAD.a")
	not subjects.covers("*.>", "$DEAD.>")
}

test_a_named_subject_of_the_bus_is_covered if {
	subjects.covers("$DEAD.>", "$DEAD.a.b")
	subjects.covers("$DEAD.*", "$DEAD.a")
}

test_a_token_that_only_looks_like_a_pattern_is_literal if {
	not subjects.covers("tasks.[a]", "tasks.a")
	not subjects.covers("tasks.a?", "tasks.ab")
	subjects.covers("tasks.{a}", "tasks.{a}")
}

_meeting := [
	["tasks.a", "tasks.a"],
	["tasks.*", "tasks.a"],
	["tasks.*", "*.a"],
	["tasks.>", "tasks.a"],
	["tasks.>", "tasks.a.b"],
	["tasks.>", "tasks.a.>"],
	["tasks.>", ">"],
	["*.>", "tasks.a"],
	["a.*.c", "a.b.>"],
	["$DEAD.>", "$DEAD.tasks.*"],
]

_apart := [
	["tasks.a", "tasks.b"],
	["tasks.*", "tasks.a.b"],
	["tasks.*", "tasks"],
	["tasks.>", "tasks"],
	["tasks.>", "plans.>"],
	["a.*.c", "a.b.d"],
	["*.>", "tasks"],
	[">", "$DEAD.a"],
	["$DEAD.>", "*.a"],
]

test_patterns_meet_whichever_is_named_first if {
	every pair in _meeting {
		subjects.overlap(pair[0], pair[1])
		subjects.overlap(pair[1], pair[0])
	}
}

test_patterns_without_a_common_subject_do_not_meet if {
	every pair in _apart {
		not subjects.overlap(pair[0], pair[1])
		not subjects.overlap(pair[1], pair[0])
	}
}
