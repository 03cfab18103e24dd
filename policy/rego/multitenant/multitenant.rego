# A tenant's part of the subjects, and what its messages are bound to.
#
# Data: multitenant.tenants.NAME.subjects, .limits; every tenant in use has an entry.
package assent.library.multitenant

import data.assent.questions
import data.assent.subjects

_tenant := data.multitenant.tenants[input.principal.tenant]

deny contains sprintf("multitenant: tenant %s has no subjects", [input.principal.tenant]) if {
	data.multitenant.tenants
	input.principal.id != "$bus"
	not _tenant
}

# Replies and dead letters stand below the bus's own subjects; replies go to whoever
# asked, and dead letters are those of the subject that they name.

deny contains sprintf("multitenant: subject %s is none of tenant %s", [
	input.message.subject,
	input.principal.tenant,
]) if {
	not startswith(input.message.subject, "$")
	_tenant
	not _within(input.message.subject)
}

deny contains sprintf("multitenant: pattern %s leads out of tenant %s", [
	input.subscription.pattern,
	input.principal.tenant,
]) if {
	questions.wants
	_tenant
	not _within(trim_prefix(input.subscription.pattern, "$DEAD."))
}

deny contains sprintf("multitenant: header x-tenant-id names %s, not %s", [
	input.message.headers["x-tenant-id"],
	input.principal.tenant,
]) if {
	questions.sends
	data.multitenant
	input.message.headers["x-tenant-id"] != input.principal.tenant
}

obligations contains object.union(_tenant.limits, {"type": "limit"}) if {
	questions.sends
	_tenant.limits != {}
}

_within(wanted) if {
	some granted in _tenant.subjects
	subjects.covers(granted, wanted)
}
