# What is recorded in full, and who writes and reads the records that agents keep.
#
# Data: audit.full, audit.records.
package assent.library.audit

import data.assent.questions

obligations contains {"type": "audit", "level": "full"} if {
	some rule in data.audit.full
	questions.matches(rule)
	_by_whom(rule)
}

_by_whom(rule) if not rule.roles

_by_whom(rule) if questions.has_one_of(rule.roles)

deny contains sprintf("audit: %s takes audit_log only, not %s", [
	input.message.subject,
	input.message.type,
]) if {
	questions.concerns(data.audit.records.subject)
	input.message.type != "audit_log"
}

deny contains sprintf("audit: an audit_log goes under %s", [data.audit.records.subject]) if {
	questions.sends
	input.message.type == "audit_log"
	not questions.concerns(data.audit.records.subject)
}

deny contains sprintf("audit: reading %s needs one of the roles %s", [
	data.audit.records.subject,
	concat(", ", sort(data.audit.records.readers)),
]) if {
	questions.wants
	questions.concerns(data.audit.records.subject)
	not questions.has_one_of(data.audit.records.readers)
}
