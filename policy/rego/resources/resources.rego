# What a message may cost: its size, how deep it nests, how long it lives, how urgent.
#
# Data: resources.subjects, resources.priorities.NAME (the roles that may ask for it).
package assent.library.resources

import data.assent.questions

obligations contains object.union(bounds, {"type": "limit"}) if {
	some rule in data.resources.subjects
	questions.matches(rule)
	bounds := {name: bound | some name, bound in rule; name in {"body_bytes", "depth"}}
	bounds != {}
}

obligations contains {"type": "ttl", "seconds": seconds} if {
	some rule in data.resources.subjects
	questions.matches(rule)
	seconds := rule.ttl_seconds
}

_names := ["low", "normal", "high", "critical"]

_priority := _names[input.message.priority]

deny contains sprintf("resources: priority %s needs one of the roles %s", [
	_priority,
	concat(", ", sort(allowed)),
]) if {
	questions.sends
	allowed := data.resources.priorities[_priority]
	not questions.has_one_of(allowed)
}
