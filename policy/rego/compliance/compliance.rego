# What a message may contain and where that may go, by the class it names for itself in
# the header `classification`.
#
# Data: compliance.levels (lowest first), .subjects, .classes, .content_types, .review.
package assent.library.compliance

import data.assent.questions

_class := input.message.headers.classification

_level[level] := rank if some rank, level in data.compliance.levels

_places := [rule | some rule in data.compliance.subjects; questions.matches(rule)]

deny contains sprintf("compliance: %s needs the header classification", [input.message.subject]) if {
	count(_places) > 0
	not _class
}

deny contains sprintf("compliance: there is no class %s", [_class]) if {
	questions.sends
	data.compliance.levels
	not _is_level(_class)
}

deny contains sprintf("compliance: %s takes %s at most, not %s", [
	input.message.subject,
	place.up_to,
	_class,
]) if {
	some place in _places
	_level[_class] > _level[place.up_to]
}

deny contains sprintf("compliance: content of type %s", [input.message.content_type]) if {
	questions.sends
	not input.message.content_type in object.get(
		data.compliance,
		"content_types",
		[input.message.content_type],
	)
}

_is_level(class) if class in data.compliance.levels

obligations contains {"type": "redact", "headers": headers} if {
	questions.sends
	headers := data.compliance.classes[_class].redact_headers
}

obligations contains {"type": "ttl", "seconds": seconds} if {
	questions.sends
	seconds := data.compliance.classes[_class].ttl_seconds
}

obligations contains {"type": "hold", "reason": rule.reason, "seconds": seconds} if {
	some rule in data.compliance.review
	questions.matches(rule)
	seconds := object.get(rule, "seconds", 300)
}
