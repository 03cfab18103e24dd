# Roles beyond grants: what excludes what, and what only some may touch.
#
# Data: rbac.inherits, rbac.exclusive, rbac.restricted.
package assent.library.rbac

import data.assent.questions

# METADATA
# description: The principal's roles and those that they inherit.
roles := questions.roles | graph.reachable(_edges, questions.roles)

_inherits := object.get(data.rbac, "inherits", {})

# A role that is only inherited is a node without edges.
_edges := object.union({role: [] | some role in _named}, _inherits)

_named := questions.roles | {role | some inherited in _inherits; some role in inherited}

deny contains sprintf("rbac: agent %s has roles that exclude one another: %s", [
	input.principal.id,
	concat(", ", held),
]) if {
	some group in data.rbac.exclusive
	held := {role | some role in group} & roles
	count(held) > 1
}

deny contains sprintf("rbac: %s under %s needs one of the roles %s", [
	input.action,
	rule.subject,
	concat(", ", sort(rule.roles)),
]) if {
	some rule in data.rbac.restricted
	input.action in object.get(rule, "actions", [input.action])
	questions.concerns(rule.subject)
	count({role | some role in rule.roles} & roles) == 0
}
