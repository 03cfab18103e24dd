# What the user's request says: the words it names things by, and what it asks for.
#
# The request is the header `user-request` of the message. It counts only from agents
# with a role that carries requests: a gateway that has them from the user, never from
# the agent. Anybody else has made no request.
package assent.toolcalls.request

import data.assent.toolcalls.text

default said := ""

said := input.message.headers["user-request"] if {
	some role in data.agents[input.principal.id].roles
	data.roles[role].carries_request == true
}

# What is in quotes is dictated: a name or a text, never what is to be done.
_own := regex.replace(regex.replace(said, `(^|[\s(:,])'[^']*'`, "$1 . "), `"[^"]*"`, " . ")

# What must not be done is not asked for, nor what somebody did.
_wanted := regex.replace(
	regex.replace(lower(_own), `(^|\s)(not|never|without|don't|cannot|can't)\s+[a-z-]+`, " "),
	`(^|\s)(did|does)\s+\S+\s+[a-z-]+`,
	" ",
)

_spoken := sprintf(" . %s ", [concat(" ", regex.find_n(
	`[\p{L}\p{N}_]+(?:-[\p{L}\p{N}_]+)*|\.`,
	regex.replace(_wanted, `[.!?;:,()]+(\s|$)`, " . "),
	-1,
))])

# METADATA
# description: The request asks for an effect of this class.
asks_for(class) if {
	some word in object.get(data.assent.toolcalls.words.plain, class, {class})
	contains(_spoken, sprintf(" %s ", [word]))
}

asks_for(class) if {
	some word in data.assent.toolcalls.words.loose[class]
	some opener in data.assent.toolcalls.words.before
	contains(_spoken, sprintf(" %s %s ", [opener, word]))
}

asks_for(class) if {
	some word in data.assent.toolcalls.words.loose[class]
	some taker in data.assent.toolcalls.words.after
	contains(_spoken, sprintf(" %s %s ", [word, taker]))
}

# METADATA
# description: It means everybody who is known.
everybody if regex.match(data.assent.toolcalls.words.everybody, lower(_own))

# METADATA
# description: It says where an address is to be found, rather than the address.
looks_up if {
	count(links) > 0
	some word in {"address", "e-mail", "email"}
	contains(_spoken, sprintf(" %s ", [word]))
}

emails := text.emails(said)

links := text.links(said)

hosts := {trim_prefix(text.host(link), "www.") | some link in links}

numbers := text.numbers(said)

_words := text.words(said)

_small := text.phrase(lower(said))

_exact := text.phrase(said)

_compact := upper(replace(said, " ", ""))

# METADATA
# description: It has these words in this order, capitals or not.
names(value) if {
	found := text.phrase(lower(value))
	found != "  "
	contains(_small, found)
}

# METADATA
# description: It has these words in this order, capitals included, as names are written.
names_exactly(value) if {
	found := text.phrase(value)
	found != "  "
	contains(_exact, found)
}

# METADATA
# description: It has this number of an account or a code, spaces or not.
numbers_exactly(value) if {
	found := upper(replace(value, " ", ""))
	count(found) >= 8
	contains(_compact, found)
}

# METADATA
# description: It has this value as it is, in quotes.
quotes(value) if {
	some mark in {"'", `"`}
	contains(lower(said), concat("", [mark, lower(value), mark]))
}

# METADATA
# description: It has this value letter by letter.
spells(value) if {
	value != ""
	contains(said, value)
	names_exactly(value)
}

# METADATA
# description: |
#   It names somebody by the first name alone: no other name stands after it, as in
#   "Ann Other" where Ann Body is known.
names_alone(first) if {
	names_exactly(first)
	not regex.match(concat("", [`(^|[^A-Za-z])`, first, ` +[A-Z]`]), said)
}

# METADATA
# description: |
#   A time that is not at odds with the request: it names no day, or this one, or one
#   that has to be worked out.
allows_date(value) if count(text.days(value)) == 0

allows_date(_) if count(_days) == 0

allows_date(value) if count(text.days(value) - _days) == 0

allows_date(_) if {
	some word in data.assent.toolcalls.words.reckoned
	contains(_small, sprintf(" %s ", [word]))
}

_days := text.days(said)

# METADATA
# description: |
#   It has all the words of a text, in any order, but for two of one or two letters.
dictates(value) if {
	found := text.words(value)
	count(found - _words) <= 2
	every word in found - _words {
		count(word) <= 2
	}
	some word in found
	count(word) > 2
}

# METADATA
# description: The texts of three words or more that stand in quotes.
dictations contains quoted if {
	some mark in {`'([^']+)'`, `"([^"]+)"`}
	some found in regex.find_all_string_submatch_n(mark, _opened, -1)
	quoted := text.phrase(lower(found[1]))
	count(split(trim_space(quoted), " ")) >= 3
}

# An apostrophe inside of a word opens nothing.
_opened := regex.replace(said, `([A-Za-z])'([a-z])`, "$1$2")

# METADATA
# description: One of the texts in quotes is part of a text.
dictated_in(value) if {
	some quoted in dictations
	contains(text.phrase(lower(regex.replace(value, `([A-Za-z])'([a-z])`, "$1$2"))), quoted)
}
