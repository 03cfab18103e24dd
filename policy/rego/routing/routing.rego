# Which ways are open: subjects that are closed, what types a subject takes, who may
# listen how widely, and where listeners share the work.
#
# Data: routing.closed, routing.types, routing.wide_roles, routing.queues.
package assent.library.routing

import data.assent.questions
import data.assent.subjects

deny contains sprintf("routing: %s is closed: %s", [rule.subject, rule.reason]) if {
	some rule in data.routing.closed
	questions.sends
	questions.concerns(rule.subject)
}

deny contains sprintf("routing: %s takes %s only, not %s", [
	rule.subject,
	concat(", ", sort(rule.types)),
	input.message.type,
]) if {
	some rule in data.routing.types
	questions.concerns(rule.subject)
	not input.message.type in rule.types
}

deny contains sprintf("routing: a pattern as wide as %s needs one of the roles %s", [
	input.subscription.pattern,
	concat(", ", sort(data.routing.wide_roles)),
]) if {
	input.action == "subscribe"
	_wide(input.subscription.pattern)
	not questions.has_one_of(data.routing.wide_roles)
}

_wide(pattern) if split(trim_prefix(pattern, "$DEAD."), ".")[0] in {"*", ">"}

deny contains sprintf("routing: %s is worked on in the queue group %s", [
	rule.subject,
	rule.queue,
]) if {
	some rule in data.routing.queues
	input.action == "subscribe"
	subjects.overlap(rule.subject, input.subscription.pattern)
	input.subscription.queue != rule.queue
}
