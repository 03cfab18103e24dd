# When: a message is judged by the minute it was made in, so the same message gets the
# same answer whenever it is asked about.
#
# Data: timebased.rules. The engine's clock is not read: its answers could not be kept.
package assent.library.timebased

import data.assent.questions

_made_ns := input.message.created_minute * 60000000000

deny contains sprintf("timebased: %s is not open on %s at %s %s", [
	rule.subject,
	weekday,
	clock,
	zone,
]) if {
	some rule in data.timebased.rules
	questions.matches(rule)
	not questions.has_one_of(object.get(rule, "exempt_roles", []))
	zone := object.get(rule, "zone", "UTC")
	weekday := time.weekday([_made_ns, zone])
	clock := sprintf("%02d:%02d", array.slice(time.clock([_made_ns, zone]), 0, 2))
	not _open(rule.open, weekday, clock)
}

deny contains "timebased: nothing says when the message was made" if {
	questions.sends
	data.timebased
	not input.message.created_minute
}

_open(windows, weekday, clock) if {
	some window in windows
	weekday in object.get(window, "days", [weekday])
	window.since <= clock
	clock < window.until
}
