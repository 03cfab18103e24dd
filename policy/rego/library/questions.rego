# What the areas of the library ask of a question that is put to policy.
package assent.questions

import data.assent.subjects

# METADATA
# description: The agent sends a message. What the bus itself does is nobody's to judge.
sends if input.action in {"publish", "request", "reply"}

# METADATA
# description: The agent wants something of the subjects under a pattern.
wants if input.action in {"subscribe", "cooldown", "release"}

roles contains role if some role in input.principal.roles

# METADATA
# description: |
#   The subject that is sent to falls under the pattern, or some subject of those that
#   are wanted does.
concerns(pattern) if {
	sends
	subjects.covers(pattern, input.message.subject)
}

concerns(pattern) if {
	wants
	subjects.overlap(pattern, input.subscription.pattern)
}

# METADATA
# description: A message under the pattern and, where types are given, of one of them.
matches(rule) if {
	sends
	subjects.covers(rule.subject, input.message.subject)
	input.message.type in object.get(rule, "types", [input.message.type])
}

# METADATA
# description: The agent has one of the roles.
has_one_of(named) if {
	some role in named
	role in roles
}
