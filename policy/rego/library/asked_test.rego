# Questions for the truth tables of the areas.
package assent.asked_test

sent(roles, subject, type) := {
	"action": "publish",
	"principal": {"id": "ann", "tenant": "acme", "roles": roles},
	"message": {"subject": subject, "type": type, "tenant": "acme"},
}

told(roles, subject, type, more) := object.union(sent(roles, subject, type), {"message": more})

wanted(action, roles, pattern) := {
	"action": action,
	"principal": {"id": "ann", "tenant": "acme", "roles": roles},
	"subscription": {"pattern": pattern, "queue": ""},
}

by(document, id, tenant) := object.union(document, {"principal": {"id": id, "tenant": tenant}})

does(document, action) := object.union(document, {"action": action})

connects(roles) := wanted("connect", roles, "")

by_the_bus(subject) := by(does(sent([], subject, "event"), "dead_letter"), "$bus", "acme")

queued(document, queue) := object.union(document, {"subscription": {"queue": queue}})
