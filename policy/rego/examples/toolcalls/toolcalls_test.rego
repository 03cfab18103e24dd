# What goes through, what waits, what is refused: one tenant, one gateway, few tools.
package assent.toolcalls_test

import data.assent.authz

_party := {"kind": "party"}

_content := {"kind": "content"}

_schema(required) := {"type": "object", "required": required}

_tool(name, effect, asks, arguments) := {
	"subject": sprintf("tool.%s.request", [name]),
	"effect": effect,
	"asks": asks,
	"nouns": ["thing"],
	"arguments": arguments,
	"parameters": _schema([]),
}

_tools := {
	"look": _tool("look", "none", [], {"query": {"kind": "detail"}}),
	"open_page": _tool("open_page", "fetch", [], {"url": {"kind": "url"}}),
	"send_note": _tool("send_note", "act", ["message"], {"to": _party, "cc": _party, "text": _content}),
	"pay": _tool("pay", "act", ["money"], {"payee": _party, "amount": {"kind": "number"}, "on": {"kind": "time"}}),
	"drop_file": _tool("drop_file", "act", ["delete"], {"file_id": {"kind": "object", "of": "file"}}),
	"make_event": _tool("make_event", "act", ["create"], {
		"title": {"kind": "label"},
		"guests": _party,
		"place": {"kind": "detail"},
	}),
	"join_room": _tool("join_room", "act", ["add"], {"user": _party, "room": _party}),
	"mail_in": _tool("mail_in", "act", ["share"], {"name": _party, "address": _party}),
	"set_password": _tool("set_password", "act", ["update"], {"password": {"kind": "secret"}}),
	"set_mode": _tool("set_mode", "act", ["update"], {
		"mode": {"kind": "choice"},
		"loud": {"kind": "flag"},
		"extra": {"kind": "nested"},
	}),
	"stop_thing": _tool("stop_thing", "act", ["delete"], {}),
	"odd": _tool("odd", "strange", [], {}),
}

_agents := {
	"gate": {"tenant": "acme", "roles": ["gateway"]},
	"loose": {"tenant": "acme", "roles": ["alone"]},
	"off": {"tenant": "acme", "roles": ["gateway"], "enabled": false},
	"taker": {"tenant": "acme", "roles": ["taker"]},
	"runner": {"tenant": "acme", "roles": ["runner"]},
}

_roles := {
	"gateway": {"tools": object.keys(_tools), "carries_request": true},
	"alone": {"tools": ["look", "send_note"]},
	"taker": {"subscribe": [">"]},
	"runner": {"subscribe": ["tool.pay.>", "tool.look.request"]},
}

_acme := {
	"tools": _tools,
	"own": ["me@acme.example"],
	"people": {
		"ann@out.example": "Ann Body",
		"kim@out.example": "Kim Lee",
		"kim@else.example": "Kim Ray",
	},
	"names": {"user": ["ann", "bob"], "room": ["hall", "attic"]},
	"accounts": ["NL91ABNA0417164300"],
	"domains": ["acme.example"],
	"objects": {"file": {"3": "plan.docx", "4": "old-plan.docx", "5": "Notes"}},
	"lookups": true,
}

_input(agent, said, tool, args) := {
	"action": "publish",
	"principal": {"id": agent, "tenant": "acme", "roles": []},
	"message": {
		"subject": sprintf("tool.%s.request", [tool]),
		"type": "command",
		"tenant": "acme",
		"headers": {"user-request": said},
		"body": {"tool": tool, "args": args},
	},
}

_decide(asked) := answer if {
	answer := authz.decision with input as asked
		with data.agents as _agents
		with data.roles as _roles
		with data.tenants as {"acme": _acme}
		with data.public_mail as ["post.example"]
}

_of(said, tool, args) := _decide(_input("gate", said, tool, args))

_goes(answer) if {
	answer.allow
	every obligation in answer.obligations {
		obligation.type == "limit"
	}
}

_waits(answer, why) if {
	answer.allow
	some obligation in answer.obligations
	obligation.type == "hold"
	contains(obligation.reason, why)
}

_no(answer, why) if {
	not answer.allow
	answer.reasons[0] == why
}

test_reading_goes_through if _goes(_of("", "look", {"query": "x"}))

test_what_does_not_fit_waits if {
	_waits(_of("", "look", {"query": "x", "depth": 1}), "takes no argument depth")
	asked := _input("gate", "", "look", {"query": 1})
	answer := authz.decision with input as asked
		with data.agents as _agents
		with data.roles as _roles
		with data.tenants as {"acme": {"tools": {"look": object.union(
			_tools.look,
			{"parameters": {"type": "object", "properties": {"query": {"type": "string"}}}},
		)}}}
	_waits(answer, "do not fit")
}

test_a_named_page_goes_and_another_waits if {
	_goes(_of("Read https://news.example/a.", "open_page", {"url": "news.example/a"}))
	_goes(_of("Read it.", "open_page", {"url": "https://docs.acme.example/x"}))
	_waits(_of("Read news.example/a", "open_page", {"url": "news.example/b"}), "no such address")
	_waits(_of("Read it.", "open_page", {"url": "https://acme.example:x@out.example/"}), "no such address")
	_waits(_of("Read it.", "open_page", {"url": "notacme.example"}), "no such address")
}

test_a_named_destination_gets_any_text if {
	_goes(_of("Send a summary to bob, please.", "send_note", {"to": "bob", "text": "All is well"}))
	_goes(_of("Send it to x@new.example", "send_note", {"to": ["x@new.example"], "text": "a b"}))
	_goes(_of("Send it to Ann Body", "send_note", {"to": "ann@out.example", "text": "All"}))
	_goes(_of("Send it to Ann today", "send_note", {"to": "ann@out.example", "text": "All"}))
}

test_a_part_of_a_name_names_nobody if {
	said := "Send it to joann@new.example and read news.example"
	_waits(_of(said, "send_note", {"to": "ann@new.example", "text": "a b"}), "neither named nor trusted")
	_waits(_of(said, "send_note", {"to": "new", "text": "a b"}), "neither named nor trusted")
	_waits(_of(said, "open_page", {"url": "x://news.example"}), "no such address")
	_waits(_of(said, "open_page", {"url": "news.example?d=1"}), "no such address")
}

test_a_name_that_two_share_names_neither if {
	_waits(_of("Send it to Kim", "send_note", {"to": "kim@out.example", "text": "All"}), "not named")
	_waits(_of("Send it to Ann Other", "send_note", {"to": "ann@out.example", "text": "All"}), "not named")
}

test_a_trusted_destination_gets_the_words_of_the_request if {
	said := "Find who is first and send: you are first"
	_goes(_of(said, "send_note", {"to": "bob", "text": "You are first!"}))
	_waits(_of(said, "send_note", {"to": "bob", "text": "The code is 4471"}), "a text of its own")
	_waits(_of(said, "send_note", {"to": "eve", "text": "You are first!"}), "neither named nor trusted")
	_waits(_of(said, "send_note", {"to": "bob", "text": "4 4 7 1"}), "a text of its own")
}

test_a_copy_to_somebody_else_waits if {
	_waits(_of("Send it to bob", "send_note", {"to": "bob", "cc": "ann", "text": "All is well"}), "a text of its own")
}

test_a_text_with_a_foreign_address_waits if {
	said := "Send a summary to bob"
	_waits(_of(said, "send_note", {"to": "bob", "text": "See evil.example/x"}), "an address that nobody named")
	_waits(_of(said, "send_note", {"to": "bob", "text": "Write to a@evil.example"}), "an address that nobody named")
	_waits(_of(said, "send_note", {"to": "bob", "text": "Pay 1234 5678 9012"}), "an address that nobody named")
	_goes(_of(said, "send_note", {"to": "bob", "text": "On 2031-01-02 see plan.docx at docs.acme.example"}))
}

test_a_text_beside_the_one_dictated_waits if {
	said := "Send bob 'I am late today', please"
	_goes(_of(said, "send_note", {"to": "bob", "text": "I am late today"}))
	_goes(_of(said, "send_note", {"to": "bob", "text": "Hello Bob, I am late today."}))
	_waits(_of(said, "send_note", {"to": "bob", "text": "The balance is low"}), "says what to write")
}

test_the_kind_of_effect_has_to_be_asked_for if {
	_waits(_of("What did bob write?", "send_note", {"to": "bob", "text": "Hi"}), "does not ask")
	_waits(_of("Read the email of bob", "send_note", {"to": "bob", "text": "Hi"}), "does not ask")
	_waits(_of("Do not send bob a thing", "send_note", {"to": "bob", "text": "Hi"}), "does not ask")
	_waits(_of("Show 'send to bob'", "send_note", {"to": "bob", "text": "Hi"}), "does not ask")
	_goes(_of("Please email bob", "send_note", {"to": "bob", "text": "Hello"}))
	_goes(_of("Find bob and message him", "send_note", {"to": "bob", "text": "Hello"}))
}

test_money_needs_payee_and_amount if {
	said := "Pay 1,050.50 to NL91 ABNA 0417 1643 00 on May 2nd"
	_goes(_of(said, "pay", {"payee": "NL91ABNA0417164300", "amount": 1050.5, "on": "2031-05-02"}))
	_waits(_of(said, "pay", {"payee": "NL91ABNA0417164300", "amount": 9000}), "does not name: amount")
	_waits(_of(said, "pay", {"payee": "GB33BUKB20201555555555", "amount": 1050.5}), "neither named nor trusted")
	_waits(_of(said, "pay", {"payee": "NL91ABNA0417164300", "amount": 1050.5, "on": "2031-06-02"}), "does not name: on")
	_waits(_of("Pay 5 for the water", "pay", {"payee": "NL91ABNA0417164300", "amount": 5}), "nothing that it is done to")
	_goes(_of("Pay 5 to NL91ABNA0417164300 tomorrow, May 2nd", "pay", {"payee": "NL91ABNA0417164300", "amount": 5, "on": "2031-05-03"}))
}

test_a_thing_is_named_by_id_or_by_its_own_name if {
	_goes(_of("Delete old-plan.docx", "drop_file", {"file_id": "4"}))
	_goes(_of("Delete plan.docx", "drop_file", {"file_id": "3"}))
	_waits(_of("Delete old-plan.docx", "drop_file", {"file_id": "3"}), "does not name: file_id")
	_goes(_of("Delete the file 9", "drop_file", {"file_id": "9"}))
	_goes(_of("Delete what has id 9", "drop_file", {"file_id": "9"}))
	_goes(_of("Delete ab-12-cd", "drop_file", {"file_id": "ab-12-cd"}))
	_waits(_of("Delete my notes", "drop_file", {"file_id": "5"}), "does not name: file_id")
	_goes(_of("Delete 'Notes'", "drop_file", {"file_id": "5"}))
	_waits(_of("Delete the largest file", "drop_file", {"file_id": "4"}), "does not name: file_id")
}

test_what_is_new_may_be_described if {
	said := "Create an event 'Summer Party' with bob"
	_goes(_of(said, "make_event", {"title": "Summer Party", "guests": ["bob"], "place": "The old mill"}))
	_waits(_of(said, "make_event", {"title": "Other", "guests": ["bob"], "place": "The old mill"}), "does not name: title")
	_waits(_of(said, "make_event", {"title": "Summer Party", "place": "see evil.example"}), "does not name: place")
}

test_everybody_is_everybody_who_is_known if {
	_goes(_of("Add all users to the quietest room", "join_room", {"user": "ann", "room": "hall"}))
	_goes(_of("Add ann to the quietest room", "join_room", {"user": "ann", "room": "hall"}))
	_waits(_of("Add somebody to the quietest room", "join_room", {"user": "ann", "room": "hall"}), "nothing that it is done to")
	_waits(_of("Add all users", "join_room", {"user": "eve", "room": "hall"}), "neither named nor trusted")
}

test_an_address_may_be_looked_up_where_the_request_says if {
	said := "Invite Dora. Her email is on dora.example/me"
	_goes(_of(said, "mail_in", {"name": "Dora", "address": "dora@post.example"}))
	_goes(_of(said, "mail_in", {"name": "Dora", "address": "dora@dora.example"}))
	_waits(_of(said, "mail_in", {"name": "Dora", "address": "dora@evil.example"}), "neither named nor trusted")
	_waits(_of(said, "mail_in", {"name": "Dora", "address": "dora1@post.example"}), "neither named nor trusted")
	_waits(_of("Invite Dora", "mail_in", {"name": "Dora", "address": "dora@post.example"}), "neither named nor trusted")
}

test_looking_up_can_be_switched_off if {
	asked := _input("gate", "Invite Dora. Her email is on dora.example", "mail_in", {"name": "Dora", "address": "dora@post.example"})
	answer := authz.decision with input as asked
		with data.agents as _agents
		with data.roles as _roles
		with data.tenants as {"acme": object.union(_acme, {"lookups": false})}
		with data.public_mail as ["post.example"]
	_waits(answer, "neither named nor trusted")
}

test_a_secret_is_spelled if {
	_goes(_of("Change it to Blue-Sky-9", "set_password", {"password": "Blue-Sky-9"}))
	_waits(_of("Change it to Blue-Sky-9", "set_password", {"password": "blue-sky-9"}), "does not name: password")
}

test_switches_and_choices_are_named if {
	_waits(_of("Set the thing", "set_mode", {"mode": "fast"}), "does not name: mode")
	_waits(_of("Set it to fast", "set_mode", {"mode": "fast", "loud": true}), "does not name: loud")
	_waits(_of("Set it to fast", "set_mode", {"mode": "fast", "extra": {"to": "evil"}}), "does not name: extra")
	_waits(_of("Set it to fast", "set_mode", {"mode": "fast", "extra": [["evil"]]}), "does not name: extra")
	_waits(_of("Set it to fast", "set_mode", {"mode": "fast", "extra": {"file_id": "3"}}), "does not name: extra")
	not _waits(_of("Set plan.docx", "set_mode", {"extra": {"file_id": "3"}}), "does not name: extra")
}

test_what_has_no_arguments_is_named_by_its_noun if {
	_goes(_of("Cancel the thing", "stop_thing", {}))
	_waits(_of("Cancel it", "stop_thing", {}), "nothing that it is done to")
}

test_an_effect_of_an_unknown_kind_waits if _waits(_of("Do odd things", "odd", {}), "unknown kind")

test_only_a_gateway_carries_a_request if {
	_waits(_decide(_input("loose", "Send it to bob", "send_note", {"to": "bob", "text": "Hi"})), "does not ask")
}

test_refused if {
	_no(_of("", "nosuch", {}), "there is no tool nosuch")
	_no(_decide(_input("loose", "", "pay", {})), "no role of the agent has the tool pay")
	_no(_decide(_input("off", "", "look", {})), "the agent is not known in this tenant")
	_no(_decide(_input("nobody", "", "look", {})), "the agent is not known in this tenant")
	_no(
		_decide(object.union(_input("gate", "", "look", {}), {"message": {"body": null}})),
		"the message holds no call of a tool",
	)
	_no(
		_decide(object.union(_input("gate", "", "look", {}), {"message": {"subject": "tool.pay.request"}})),
		"the subject is that of another tool",
	)
}

_access(agent, action, pattern) := {
	"action": action,
	"principal": {"id": agent, "tenant": "acme", "roles": []},
	"subscription": {"pattern": pattern, "queue": ""},
}

test_access if {
	_goes(_decide(_access("gate", "connect", "")))
	_goes(_decide(_access("taker", "subscribe", ">")))
	not _decide(_access("gate", "subscribe", ">")).allow
	_goes(_decide(_access("taker", "subscribe", "tool.>")))
	not _decide(_access("taker", "subscribe", "$INBOX.>")).allow
	_goes(_decide(_access("runner", "subscribe", "tool.pay.request")))
	_goes(_decide(_access("runner", "subscribe", "tool.look.request")))
	not _decide(_access("runner", "subscribe", "tool.>")).allow
	not _decide(_access("runner", "subscribe", "tool.payroll")).allow
	not _decide(_access("off", "connect", "")).allow
	_goes(_decide({"action": "reply", "principal": {"id": "taker", "tenant": "acme"}, "message": {"subject": "$INBOX.a"}}))
	_goes(_decide({
		"action": "dead_letter",
		"principal": {"id": "$bus", "tenant": "acme"},
		"message": {"subject": "$DEAD.a", "tenant": "acme"},
	}))
	not _decide({"action": "cooldown", "principal": {"id": "gate", "tenant": "acme"}}).allow
}
