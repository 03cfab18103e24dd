# The separation of powers: who may propose, judge, watch, control or carry out, and
# that nobody judges what it had a part in.
#
# Data: powers.permissions, powers.roles (powers.toml where the data has none), and
# agents, whose roles are looked up among powers.roles.
package assent.library.constitutional

import data.assent.questions
import data.assent.subjects

# METADATA
# description: The roles among `powers.roles` that an agent has.
powers_of(agent) := {role |
	some role in data.agents[agent].roles
	data.powers.roles[role]
}

_held := powers_of(input.principal.id)

# METADATA
# description: The permissions of which the question takes one.
needed contains permission if {
	questions.sends
	some permission, use in data.powers.permissions
	input.message.type in use.types
	_there(use)
}

needed contains permission if {
	some permission, use in data.powers.permissions
	input.action in use.actions
}

_there(use) if not use.subject

_there(use) if subjects.covers(use.subject, input.message.subject)

_granted contains permission if {
	some role in _held
	some permission in data.powers.roles[role].permissions
}

_needed_text := concat(" or ", sort(needed))

deny contains sprintf("role violation: agent %s is %s at once", [
	input.principal.id,
	concat(" and ", sort(_held)),
]) if {
	count(_held) > 1
}

deny contains sprintf("role not assigned: agent %s has no role that may %s", [
	input.principal.id,
	_needed_text,
]) if {
	count(needed) > 0
	count(_held) == 0
}

deny contains sprintf("role violation: %s may not %s", [role, _needed_text]) if {
	count(needed) > 0
	count(needed & _granted) == 0
	some role in _held
}

# Judging what others made. The authors of everything that led to the message are in
# `authors`; the last of them wrote what it follows from.

_judges if {
	questions.sends
	some permission in needed
	data.powers.permissions[permission].judges
}

_follows if input.message.authors[0]

_judged := input.message.authors[count(input.message.authors) - 1]

deny contains sprintf("self-validation: agent %s had a part in what it judges", [input.principal.id]) if {
	_judges
	input.principal.id in input.message.authors
}

deny contains "cross-role validation: the message follows from none, so it judges nothing" if {
	_judges
	not _follows
}

deny contains sprintf("role not assigned: agent %s, who is judged, has no role", [_judged]) if {
	_judges
	count(powers_of(_judged)) == 0
}

deny contains sprintf("cross-role validation: %s may not judge %s", [role, author]) if {
	_judges
	some role in _held
	some author in powers_of(_judged)
	not author in object.get(data.powers.roles[role], "validates", [])
}

# Letting go of what is held judges it as well. Whoever has no power of its own may be
# judged by anybody who may judge at all.

_releases if {
	input.action == "release"
	some permission in needed
	data.powers.permissions[permission].judges
}

_had_part if input.principal.id == input.held.sender

_had_part if input.principal.id in input.held.authors

deny contains sprintf("self-validation: agent %s had a part in what it judges", [input.principal.id]) if {
	_releases
	_had_part
}

deny contains sprintf("cross-role validation: %s may not judge %s", [role, author]) if {
	_releases
	some role in _held
	some author in powers_of(input.held.sender)
	not author in object.get(data.powers.roles[role], "validates", [])
}
