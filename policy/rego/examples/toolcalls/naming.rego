# Whether a text has a value: as it is, word for word, or as a number of an account.
package assent.toolcalls.naming

import data.assent.toolcalls.text

# METADATA
# description: |
#   It has these words in this order, capitals or not. For what the data knows; a value
#   of a call may have anything between its words, and has to stand there as it is.
words(said, value) if {
	found := text.phrase(lower(value))
	found != "  "
	contains(text.phrase(lower(said)), found)
}

# METADATA
# description: It has these words in this order, capitals included, as names are written.
words_exactly(said, value) if {
	found := text.phrase(value)
	found != "  "
	contains(text.phrase(said), found)
}

# METADATA
# description: It has this value as it is, but for capitals and quotes around it.
says(said, value) if stands(lower(said), lower(bare(value)))

# METADATA
# description: It has this value as it is, capitals included.
says_exactly(said, value) if stands(said, bare(value))

# METADATA
# description: A value without what quotes it and without space around it.
bare(value) := trim(text.line(value), ` '"`)

# METADATA
# description: The value stands in the text, and no longer word or path has it as a part.
stands(said, value) if {
	regex.match(`[0-9A-Za-z\x{c0}-\x{1fff}\x{2070}-\x{2fff}\x{3040}-\x{10ffff}]`, value)
	parts := split(said, value)
	some i, before in parts
	_opens(i, before)
	_closes(parts[i + 1], count(parts) - (i + 2))
}

_opens(0, "") := true

_opens(_, before) if regex.match(`[\s'"“‘(\[{,;:]$`, before)

_closes("", 0) := true

_closes(after, _) if regex.match(`^(?:['’]s)?(?:[\s"”)\]},;:!?]|['’](?:$|[^0-9A-Za-z\x{c0}-\x{1fff}\x{2070}-\x{2fff}\x{3040}-\x{10ffff}])|\.+(?:$|[\s'")]))`, after)

_closes(after, 0) if regex.match(`^(?:['’]s|[.]+)$`, after)

# METADATA
# description: It has this number of an account or a code, spaces or not.
numbers_exactly(said, value) if {
	found := upper(replace(value, " ", ""))
	count(found) >= 8
	contains(upper(replace(said, " ", "")), found)
}

# METADATA
# description: It has this value as it is, in quotes.
quotes(said, value) if {
	some mark in {"'", `"`}
	contains(lower(said), concat("", [mark, lower(value), mark]))
}

# METADATA
# description: |
#   It names somebody by the first name alone: no other name stands after it, as in
#   "Ann Other" where Ann Body is known.
names_alone(said, first) if {
	words_exactly(said, first)
	not regex.match(concat("", [`(^|[^A-Za-z])`, first, ` +[A-Z]`]), said)
}

# METADATA
# description: |
#   It dictates a secret: the value stands there letter by letter, either after `to` or
#   in quotes after what it is to be, and nothing forbids it.
dictates_secret(said, value) if {
	value != ""
	parts := split(said, value)
	some i, before in parts
	_closes(parts[i + 1], count(parts) - (i + 2))
	_leads_to_secret(lower(before))
}

_leads_to_secret(before) if {
	regex.match(_secret_lead, before)
	not regex.match(`(^|\s)(not|never|than|from|of|instead)\s+((be|is|to)\s+)?['"]?$`, before)
}

_secret_lead := `(^|\s)(to\s|((as|be|code|is|key|passphrase|password|pin|secret|to|token)[:=]?\s|[=:]\s?)['"])$`
