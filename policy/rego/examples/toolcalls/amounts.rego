# Which numbers of a clause are what is asked for, and which are only spoken of.
package assent.toolcalls.amounts

import data.assent.toolcalls.text

# METADATA
# description: |
#   The clause asks for this number of something: it has the number, and no word beside
#   it makes that the number of an invoice, a room or a year.
asks_number(clause, digits) if {
	told := _tokens(clause)
	some i, token in told
	text.numeral(token) == digits
	not _word(told, i - 1) in data.assent.toolcalls.words.numbered
	not _word(told, i + 1) in data.assent.toolcalls.words.numbered
	not regex.match(`^in (19|20)[0-9]{2}$`, sprintf("%s %s", [_word(told, i - 1), token]))
}

# METADATA
# description: |
#   The clause asks for this amount: the number has a currency, or stands where an amount
#   does: after the verb, after whom it goes to, after what can only lead to one.
asks_amount(clause, digits, names) if {
	told := _tokens(clause)
	some i, token in told
	text.numeral(token) == digits
	_leads(told, i, names)
	_follows(_word(told, i + 1))
}

asks_amount(clause, digits, _) if {
	told := _tokens(clause)
	some i, token in told
	text.numeral(token) == digits
	_is_currency(told, i, token)
}

_is_currency(told, i, _) if _word(told, i - 1) in data.assent.toolcalls.words.currencies

_is_currency(told, i, _) if _word(told, i + 1) in data.assent.toolcalls.words.currencies

_is_currency(_, _, token) if regex.match(`[a-z€£¥$]$`, token)

_leads(told, i, _) if _word(told, i - 1) in data.assent.toolcalls.words.paying

_leads(told, i, _) if {
	_word(told, i - 1) in {"of", "is", "to", "by", "with"}
	_word(told, i - 2) in data.assent.toolcalls.words.amounts
}

# "Raise the rent to 900": what it is changed to, whatever stands between.
_leads(told, i, _) if {
	_word(told, i - 1) in {"to", "by"}
	some word in array.slice(told, 0, i)
	word in data.assent.toolcalls.words.changing
}

_leads(told, i, names) if {
	before := sprintf(" %s", [concat(" ", array.slice(told, 0, i))])
	some name in names
	endswith(before, sprintf(" %s", [lower(name)]))
}

_follows(word) if word in data.assent.toolcalls.words.after_amount

default _word(_, _) := "."

_word(told, i) := told[i] if i >= 0

_tokens(clause) := [token |
	some token in split(replace(_masked(clause), "\n", " . "), " ")
	token != ""
	not token in {"about", "another", "exactly", "just", "only"}
]

# What is no number of anything: quotes that hold more, accounts and addresses ("@"),
# days and times.
_masked(clause) := lower(regex.replace(
	regex.replace(
		regex.replace(
			regex.replace(clause, `['"]([0-9][0-9,.]*)['"]`, " ${1} "),
			`[^\s@]+@[^\s@]+|\b[A-Z]{2}[0-9]{2}(?:[A-Z0-9]{8,30}|(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,3})?)\b`,
			" @ ",
		),
		concat("", [
			`(?:^|[\s(:,])'[^']*'|"[^"]*"|[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{1,2}:[0-9]{2}|[0-9]+(?:st|nd|rd|th)\b|`,
			`(?i:`, text.spoken_day, `)`,
		]),
		" ' ",
	),
	`([$€£¥#():;!?"]|,(?:\s|$))`,
	" ${1} ",
))
