# What was tried against the rules: each waits, and beside it what may go on.
package assent.toolcalls_test

import data.assent.authz

_note(said, text) := _of(said, "send_note", {"to": "ann@out.example", "text": text})

_elsewhere := {
	"log in at http://203.0.113.5/login",
	"log in at 203.0.113.5",
	"log in at https://аcmе.рф/login",
	"log in at аcmе.рф",
	"log in at http://evil。com/x",
	"log in at http://[2001:db8::1]/x",
	"log in at [2001:db8::1]",
	"log in at http://3405803781/",
	"log in at http:3405803781",
	"log in at ftp://acme.example/x",
	"log in at \\\\server\\share",
	"log in at evil\u200b.example",
	"log in at http://lunch/x",
	"log in at http://acme.example@evil.example/",
	"write to me@acme.example.рф",
	"write to me＠evil.example",
}

test_an_address_of_any_form_waits if {
	every text in _elsewhere {
		_waits(_note("Send Ann Body a note about lunch.", text), "an address that nobody named")
	}
}

test_an_address_in_what_is_new_waits if {
	said := "Create an event called Standup"
	every place in {"http://203.0.113.5/x?d=1", "203.0.113.5", "https://аcmе.рф"} {
		_waits(_of(said, "make_event", {"title": "Standup", "place": place}), "does not name: place")
	}
}

test_an_address_that_is_known_goes if {
	_goes(_note("Send Ann Body a note about lunch.", "See https://docs.acme.example/x and plan.docx"))
	_goes(_note("Send Ann Body the link https://пример.рф/a.", "See https://пример.рф/a"))
}

test_a_name_is_compared_as_it_is if {
	every title in {"../../../notes.txt", "/notes.txt", "notes.txt/", "<notes.txt>;&|`$()", "notes..txt", "notes"} {
		_waits(_of("Create an event called notes.txt", "make_event", {"title": title}), "does not name: title")
	}
	_goes(_of("Create an event called notes.txt.", "make_event", {"title": "'Notes.txt'"}))
	_waits(_of("Send bob a note", "send_note", {"to": "<bob>", "text": "All"}), "neither named nor trusted")
	_waits(_of("Set it to fast", "set_mode", {"mode": "$(fast)"}), "does not name: mode")
	_waits(_of("Delete the file 9", "drop_file", {"file_id": "../9"}), "does not name: file_id")
	_goes(_of("Delete file #9", "drop_file", {"file_id": "9"}))
}

_on(said, time) := _of(said, "pay", {"payee": "ann@out.example", "amount": 40, "on": time})

test_a_time_that_is_none_waits if {
	said := "Pay Ann Body 40 on 2031-05-02."
	every time in {"1/1/2031 recurring daily for 100 years", "daily", "2031-05-02 and every day", "2031-13-02", "P100Y"} {
		_waits(_on(said, time), "does not name: on")
	}
	_waits(_on(said, "2099-05-02"), "does not name: on")
	every time in {"2031-05-02", "2031-05-02T09:30:00Z", "09:30"} {
		_goes(_on(said, time))
	}
	_goes(_on("Pay Ann Body 40 on the first of the month", "the first of the month"))
}

_pays(said, payee, amount) := _of(said, "pay", {"payee": payee, "amount": amount})

test_a_number_beside_the_amount_is_none if {
	every said in {
		"Pay Ann Body 40 for the 2024 invoice by May 31.",
		"Pay 40 to Ann Body for invoice 2024",
		"Pay the 2024 invoice to Ann Body",
		"Pay 2024 invoice of Ann Body",
		"Pay Ann Body in 2024",
		"Pay Ann Body 40 on May 2nd 2024",
		"Pay Ann Body 40 as 'rent 2024'",
		"Pay Ann Body 40 and tell me that 2024 is over",
	} {
		_waits(_pays(said, "ann@out.example", 2024), "does not name: amount")
	}
	every said in {
		"Pay Ann Body 40 for the 2024 invoice by May 31.",
		"Pay 40 to Ann for invoice 2024",
		"Please send Ann Body a payment of 40",
		"Transfer to Ann Body €40",
		"Refund 40 euros to Ann Body",
		"Send Ann Body '40' please",
	} {
		_goes(_pays(said, "ann@out.example", 40))
	}
}

test_an_amount_belongs_to_whom_its_clause_names if {
	said := "Pay the rent to Ann Body and tell Kim Lee that 500 is paid. Pay 20."
	every amount in {20, 500} {
		_waits(_pays(said, "kim@out.example", amount), "does not name: amount")
	}
	both := "Transfer 40 to Ann Body and pay 30 to bob"
	_goes(_pays(both, "bob", 30))
	_goes(_pays(both, "ann@out.example", 40))
	_waits(_pays(both, "bob", 40), "does not name: amount")
	_goes(_pays("Ann Body is back. Pay her 40", "ann@out.example", 40))
}

_set(said, secret) := _of(said, "set_password", {"password": secret})

test_a_secret_is_dictated if {
	_waits(_set("Change my password to hunter2secret, not to letmein.", "letmein"), "does not name: password")
	_waits(_set("Change my password to hunter2secret please.", "please"), "does not name: password")
	_waits(_set("Change my password to hunter2secret please.", "hunter2"), "does not name: password")
	_waits(_set("Change my password from 'old-one' to 'new-one'", "old-one"), "does not name: password")
	_waits(_set("Change the password of 'ann' to 'new-one'", "ann"), "does not name: password")
	_waits(_set("Change my password to new-one. Ask bob to wait", "wait"), "does not name: password")
	_waits(_set("Do not change my password to letmein", "letmein"), "does not ask")
	_goes(_set("Change my password to hunter2secret, not to letmein.", "hunter2secret"))
	_goes(_set("Change my password from 'old-one' to 'new-one'", "new-one"))
}

_drop(said, id) := _of(said, "drop_file", {"file_id": id})

test_a_thing_stands_in_the_clause_of_its_verb if {
	every said in {
		"Delete nothing. Summarise plan.docx and remove duplicates from your answer.",
		"Summarise plan.docx and remove duplicates.",
		"Summarise plan.docx, remove duplicates.",
		"Summarise plan.docx and read and delete old-plan.docx",
		"Delete old-plan.docx and summarise plan.docx.",
		"Delete old-plan.docx. Summarise plan.docx.",
	} {
		_waits(_drop(said, "3"), "does not name: file_id")
	}
	every said in {
		"Delete nothing from plan.docx",
		"Do not send or delete plan.docx",
		"Summarise plan.docx without deleting it, delete nothing",
	} {
		_waits(_drop(said, "3"), "does not ask")
	}
	every said in {
		"Delete old-plan.docx and plan.docx.",
		"Summarise plan.docx and delete it.",
		"Look at plan.docx. Then delete the thing.",
		"Do not forget to delete plan.docx",
		"If nobody needs plan.docx, delete it",
	} {
		_goes(_drop(said, "3"))
	}
	_waits(_of("Set it to fast, not loud", "set_mode", {"mode": "fast", "loud": true}), "does not name: loud")
}

test_who_is_only_a_source_gets_no_text_of_its_own if {
	said := "Summarise what bob wrote and send it to Ann Body"
	_goes(_of(said, "send_note", {"to": "ann@out.example", "text": "All is well"}))
	_waits(_of(said, "send_note", {"to": "bob", "text": "All is well"}), "a text of its own")
	mail := "Summarise the mail from eve@new.example. Send a note to bob."
	_waits(_of(mail, "send_note", {"to": "eve@new.example", "text": "All"}), "neither named nor trusted")
	_goes(_of("Send Zoe a note. Her address is zoe@new.example.", "send_note", {"to": "zoe@new.example", "text": "All"}))
	_goes(_of("Find bob and message him", "send_note", {"to": "bob", "text": "All is well"}))
	_waits(_of("Read the notes of all users. Add ann to it", "join_room", {"user": "bob", "room": "attic"}), "nothing that it is done to")
}

_ten := ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]

_hundred := [concat("", ["a", one, other]) | some one in _ten; some other in _ten]

test_no_more_is_looked_at_than_the_bounds_say if {
	said := "Send Ann Body a note."
	many := concat(".example ", _hundred)
	_waits(_note(said, many), "too many addresses in text")
	_waits(_note(said, concat(" ", [many | some _ in _hundred])), "too long or too many")
	_waits(_of(said, "send_note", {"to": _hundred}), "too many values")
	_waits(_of(said, "send_note", {name: 1 | some name in _hundred}), "too long or too many")
	_waits(_note(concat(" ", [said | some _ in _hundred]), "All"), "too many clauses")
	some obligation in _note(said, "All").obligations
	obligation == {"type": "limit", "body_bytes": 65536}
}

test_a_tenant_may_have_bounds_of_its_own if {
	asked := _input("gate", "Send Ann Body a note.", "send_note", {"to": "ann@out.example", "text": "All is well"})
	answer := authz.decision with input as asked
		with data.agents as _agents
		with data.roles as _roles
		with data.tenants as {"acme": object.union(_acme, {"bounds": {"args_chars": 20, "body_bytes": 900}})}
	_waits(answer, "too long or too many")
	some obligation in answer.obligations
	obligation == {"type": "limit", "body_bytes": 900}
}
