# The clauses of a request: what is asked for in one is done to what that one names.
#
# A clause ends with its sentence, or where another verb begins after "and" or a comma.
# What stands in quotes is dictated: it ends no clause and asks for nothing.
package assent.toolcalls.clauses

import data.assent.toolcalls.text

_tool := data.tenants[input.principal.tenant].tools[input.message.body.tool]

_quoted := `(?:^|[\s(:,])'(?:[A-Za-z]'[a-z]|[^'])*'|"[^"]*"`

_line := text.line(data.assent.toolcalls.request.said)

_inside := regex.find_n(_quoted, _line, -1)

# Two newlines end a sentence and one ends a clause: the request itself is one line.
_marked := concat("", [concat("", [_broken(part), _after(i)]) | some i, part in regex.split(_quoted, _line)])

default _after(_) := ""

_after(i) := _inside[i]

# What follows a match begins the next one, so that every second joint is left for later.
_broken(part) := regex.replace(
	regex.replace(
		regex.replace(
			regex.replace(
				regex.replace(part, `(^| )(Mr|Mrs|Ms|Dr|Prof|St|[Nn]o|[Nn]r)\. `, "${1}${2} "),
				`[.!?;]+( |$)`,
				"\n\n",
			),
			`([a-z)0-9])\.([A-Z][a-z])`,
			"${1}\n\n${2}",
		),
		_joint,
		"\n${1}${2}",
	),
	_joint,
	"\n${1}${2}",
)

_joint := concat("", [
	`(?:[,:]| and| but| then)(?: (?:also|and|can|could|finally|just|kindly|please|then|to|would|you))* (`,
	_verb,
	`)([ ,:\n]|$)`,
])

_verb := concat("|", _verbs)

_verbs contains word if {
	some list in [data.assent.toolcalls.words.plain, data.assent.toolcalls.words.loose]
	some _, told in list
	some word in told
}

_verbs contains word if some word in data.assent.toolcalls.words.others

_verbs contains word if {
	some word in _tool.asks
	regex.match(`^[a-z ]+$`, word)
}

_sentences := [split(sentence, "\n") |
	some sentence in split(_marked, "\n\n")
	regex.match(`[A-Za-z\x{c0}-\x{10ffff}]`, sentence)
]

# METADATA
# description: The whole request, with its clauses on lines of their own.
whole := concat("\n", [clause | some sentence in _sentences; some clause in sentence])

# What is in quotes is no verb, nor is what must not be done or what somebody did.
_wanted(clause) := regex.replace(
	regex.replace(
		regex.replace(
			regex.replace(replace(lower(_own(clause)), "’", "'"), `(not|never|don't|dont)\s+(fail|forget|hesitate)\b`, " . "),
			`(^|\s)(not|never|without|avoid|don't|dont|cannot|can't|won't|instead of|rather than)(\s.*)?$`,
			" ",
		),
		`[a-z-]+\s+(no one|nobody|none|nothing)\b`,
		" ",
	),
	`(^|\s)(did|does)\s+\S+\s+[a-z-]+`,
	" ",
)

_own(clause) := regex.replace(clause, _quoted, " . ")

# METADATA
# description: The words of a clause that may ask for something; "." is where one begins.
spoken(clause) := sprintf(" . %s ", [concat(" ", regex.find_n(
	`[0-9A-Za-z\x{c0}-\x{1fff}\x{2070}-\x{2fff}\x{3040}-\x{10ffff}_]+(?:-[0-9A-Za-z\x{c0}-\x{1fff}\x{2070}-\x{2fff}\x{3040}-\x{10ffff}_]+)*|\.`,
	regex.replace(_wanted(clause), `[.!?;:,()]+(\s|$)`, " . "),
	-1,
))])

_asks_for(heard, class) if {
	some word in object.get(data.assent.toolcalls.words.plain, class, {class})
	contains(heard, word)
	contains(heard, sprintf(" %s ", [word]))
}

_asks_for(heard, class) if {
	some word in data.assent.toolcalls.words.loose[class]
	contains(heard, word)
	some opener in data.assent.toolcalls.words.before
	contains(heard, sprintf(" %s %s ", [opener, word]))
}

_asks_for(heard, class) if {
	some word in data.assent.toolcalls.words.loose[class]
	contains(heard, word)
	some taker in data.assent.toolcalls.words.after
	contains(heard, sprintf(" %s %s ", [word, taker]))
}

# METADATA
# description: The request has more clauses than are looked at.
is_long if count(split(_marked, "\n")) > data.assent.toolcalls.bounds.clauses

# METADATA
# description: |
#   The clauses that ask for one of the tool's effects, and what each is about: itself,
#   what stands before it without a verb, and what its words point back to. `people`,
#   `things` and `places` are texts.
asking := [scope |
	not is_long
	some i, sentence in _sentences
	some j, clause in sentence
	heard := spoken(clause)
	_is_asked(heard)
	own := concat("\n", [_lead(sentence, j), clause])
	scope := {
		"own": own,
		"heard": heard,
		"people": concat("\n", [own, _defined, _back(i, j, _points(heard, data.assent.toolcalls.words.persons))]),
		"things": concat("\n", [own, _back(i, j, _points_to_thing(heard))]),
		"places": concat("\n", [own, _defined, _back(i, j, contains(heard, " there "))]),
	}
]

_is_asked(heard) if {
	some class in _tool.asks
	_asks_for(heard, class)
}

# "For issue 102, add a comment."
default _lead(_, _) := ""

_lead(sentence, j) := sentence[j - 1] if {
	not regex.match(concat("", [`\b(?:`, _verb, `)\b`]), lower(_own(sentence[j - 1])))
}

default _points(_, _) := false

_points(heard, words) if {
	some word in words
	contains(heard, sprintf(" %s ", [word]))
}

default _points_to_thing(_) := false

_points_to_thing(heard) if _points(heard, data.assent.toolcalls.words.things)

_points_to_thing(heard) if {
	some noun in _tool.nouns
	some word in {"the", "this", "that", "these", "those"}
	contains(heard, sprintf(" %s %s", [word, noun]))
}

# What a word points back to: the sentence so far, or where it begins one, the last one.
default _back(_, _, _) := ""

_back(i, j, true) := concat("\n", array.slice(_sentences[i], 0, j)) if j > 0

_back(i, 0, true) := concat("\n", _sentences[i - 1])

# "Her address is ..." belongs to whoever is spoken of, wherever it stands.
_defined := concat("\n", [found[1] |
	some found in regex.find_all_string_submatch_n(
		`(?i)\b(?:account|address|e-?mail|handle|iban|link|site|url|username|wallet|website)\b[^\n]*?\b(?:are|is):? +(['"]?[^\s'"]*[@.0-9][^\n'"]*)`,
		whole,
		-1,
	)
])
