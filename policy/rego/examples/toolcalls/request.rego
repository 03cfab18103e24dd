# What the user's request says: the words it names things by, and what it asks for.
#
# The request is the header `user-request` of the message. It counts only from agents
# with a role that carries requests: a gateway that has them from the user, never from
# the agent. Anybody else has made no request.
package assent.toolcalls.request

import data.assent.toolcalls.naming
import data.assent.toolcalls.text

default said := ""

said := input.message.headers["user-request"] if {
	some role in data.agents[input.principal.id].roles
	data.roles[role].carries_request == true
}

# What is in quotes is dictated: a name or a text, never what is to be done.
_own := regex.replace(regex.replace(said, `(^|[\s(:,])'[^']*'`, "$1 . "), `"[^"]*"`, " . ")

# METADATA
# description: It says where an address is to be found, rather than the address.
looks_up if {
	count(links) > 0
	some word in {"address", "e-mail", "email"}
	naming.words(_own, word)
}

emails := text.emails(said)

# METADATA
# description: Its links; a sentence that begins without a space ends a link.
links := text.links(data.assent.toolcalls.clauses.whole)

# METADATA
# description: The same in small letters.
small_links := text.links(lower(data.assent.toolcalls.clauses.whole))

hosts := {trim_prefix(text.host(link), "www.") | some link in links}

_words := text.words(said)

# METADATA
# description: |
#   A time that is not at odds with the request: it names no day, or this one, or one
#   that has to be worked out. What is no day and no time has to stand there as it is.
allows_time(value) if {
	text.is_time(value)
	_allows_day(value)
}

allows_time(value) if naming.says(said, value)

_allows_day(value) if count(text.days(value)) == 0

_allows_day(_) if count(_days) == 0

_allows_day(value) if {
	count(text.days(value) - _days) == 0
	_allows_year(value)
}

_allows_day(_) if {
	some word in data.assent.toolcalls.words.reckoned
	naming.words(said, word)
}

_allows_year(_) if count(_years) == 0

_allows_year(value) if count(text.years(value) - _years) == 0

_years := text.years(said)

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
