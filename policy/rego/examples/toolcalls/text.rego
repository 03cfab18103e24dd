# The parts of a text: its words, addresses, links and numbers, as they are compared.
package assent.toolcalls.text

# Letters and digits of any script, as ranges: an engine that makes each expression anew
# takes ten times as long for their categories.

# METADATA
# description: |
#   The words of a text between single spaces, with one at each end. What is joined by
#   a dot, a hyphen or an underscore is one word: a file's name, a host.
phrase(value) := sprintf(" %s ", [concat(" ", regex.find_n(
	`[0-9A-Za-z\x{c0}-\x{1fff}\x{2070}-\x{2fff}\x{3040}-\x{10ffff}]+(?:[._-][0-9A-Za-z\x{c0}-\x{1fff}\x{2070}-\x{2fff}\x{3040}-\x{10ffff}]+)*`,
	value,
	-1,
))])

# METADATA
# description: Every run of letters and digits, small.
words(value) := {word | some word in regex.find_n(`[0-9A-Za-z\x{c0}-\x{1fff}\x{2070}-\x{2fff}\x{3040}-\x{10ffff}]+`, lower(value), -1)}

# METADATA
# description: A text on one line, with single spaces.
line(value) := trim_space(regex.replace(value, `[\s\p{Z}]+`, " "))

# An address in a text is whatever has an "@" inside: what a mail program may make one of.
_email := `[^\s'"<>(),;:@/\\?#=&*|\[\]{}\x60]+@[^\s'"<>(),;:@/\\?#=&*|\[\]{}\x60]+`

_plain_email := `^[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+$`

# A host in any script, or in digits.
_host := `(?:(?:[0-9A-Za-z_\x{80}-\x{10ffff}-]+\.)+[A-Za-z\x{80}-\x{10ffff}][0-9A-Za-z\x{80}-\x{10ffff}-]+|(?:[0-9]{1,3}\.){3}[0-9]{1,3})`

_rest := `[^\s'"<>()]*`

_link := concat("", [
	`(?:[A-Za-z][A-Za-z0-9+.-]*:)?//`, _rest,
	`|\\\\`, _rest,
	`|\b(?:blob|callto|data|file|ftp|git|https?|javascript|magnet|sms|ssh|tel|vbscript|wss?):[^\s]`, _rest,
	`|`, _host, `(?::[0-9]+)?(?:[/?#\\]`, _rest, `)?`,
	`|\[[0-9a-fA-F:.]*:[0-9a-fA-F:.]*\]`,
])

# A text as a mail program or a browser reads it: without what is not shown, with plain
# spaces, quotes, dots and at signs.
_shown(value) := regex.replace(
	regex.replace(
		regex.replace(regex.replace(value, `\p{Cf}`, ""), `[\p{Z}“”‘’«»‐-…]`, " "),
		`[。．｡]`,
		".",
	),
	`＠`,
	"@",
)

# METADATA
# description: The e-mail addresses in a text, small.
emails(value) := {trim(lower(found), ".!?") | some found in regex.find_n(_email, _shown(value), -1)}

# METADATA
# description: A whole value that is one e-mail address.
is_email(value) if regex.match(_plain_email, value)

# METADATA
# description: The links in a text, as `link` writes them.
links(value) := {link(found) |
	some found in regex.find_n(_link, regex.replace(_shown(value), _email, " "), -1)
}

# METADATA
# description: A text leads to more places than `bound`; no more than these are looked for.
is_crowded(value, bound) if count(regex.find_n(_link, _shown(value), bound + 1)) > bound

is_crowded(value, bound) if count(regex.find_n(_email, _shown(value), bound + 1)) > bound

is_crowded(value, bound) if count(regex.find_n(_long_number, _shown(value), bound + 1)) > bound

# METADATA
# description: A link without its scheme and without what ends the sentence after it.
link(value) := trim_right(trim_prefix(trim_prefix(value, "https://"), "http://"), "/.,;!?")

# METADATA
# description: |
#   The host of a link. A link that is written to be read two ways has none: with
#   somebody's name before the host, a backslash, or another scheme.
host(value) := lower(found[0]) if {
	regex.match(`^[A-Za-z0-9.-]+(?::[0-9]+)?(?:[/?#][^@\\\s]*)?$`, link(value))
	found := regex.find_n(`^[A-Za-z0-9.-]+`, link(value), 1)
}

# METADATA
# description: A whole value that has the form of a bank account's number.
is_account(value) if {
	regex.match(`^[A-Z]{2}[0-9]{2}[A-Z0-9]{8,30}$`, upper(replace(value, " ", "")))
}

# METADATA
# description: The numbers in a text, as `number` writes them.
numbers(value) := {_canonical(replace(found, ",", "")) |
	some found in regex.find_n(`[0-9][0-9,]*(?:\.[0-9]+)?`, value, -1)
}

# METADATA
# description: A number as text, without a fraction of nothing.
number(value) := _canonical(json.marshal(value)) if is_number(value)

number(value) := _canonical(value) if is_string(value)

# METADATA
# description: The number that a word is, as `number` writes it; it may name a currency.
numeral(word) := _canonical(replace(regex.find_n(`^[0-9][0-9,]*(?:\.[0-9]+)?`, word, 1)[0], ",", "")) if {
	regex.match(`^[0-9][0-9,]*(?:\.[0-9]+)?(?:,|\.)?(?:chf|eur|gbp|usd|[€£¥$])?$`, word)
}

_canonical(digits) := trim_right(trim_right(digits, "0"), ".") if contains(digits, ".")

else := digits

# METADATA
# description: |
#   Runs of nine or more digits in a text, spaces and hyphens left out: numbers of
#   accounts, cards and phones. Dates are none.
long_numbers(value) := {replace(replace(found, " ", ""), "-", "") |
	some found in regex.find_n(
		_long_number,
		regex.replace(value, `[0-9]{4}-[0-9]{2}-[0-9]{2}`, " . "),
		-1,
	)
}

_long_number := `\p{Nd}(?:[ -]?\p{Nd}){8,}`

_months := {
	"jan": "01", "feb": "02", "mar": "03", "apr": "04", "may": "05", "jun": "06",
	"jul": "07", "aug": "08", "sep": "09", "oct": "10", "nov": "11", "dec": "12",
}

_month := `(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*`

# METADATA
# description: The days in a text, as month and day; `May 2nd` and `2024-05-02` are 05-02.
days(value) := {substring(found, 5, 5) | some found in regex.find_n(_day, value, -1)} | {
concat("-", [_months[substring(name, 0, 3)], _two_digits(number)]) |
	some found in _spoken_days(lower(value))
	name := regex.find_n(_month, found, 1)[0]
	number := regex.find_n(`[0-9]+`, found, 1)[0]
}

_day := `[0-9]{4}-[0-9]{2}-[0-9]{2}`

_spoken_days(value) := regex.find_n(spoken_day, value, -1)

# METADATA
# description: A day as people write it, for a text in small letters.
spoken_day := concat("", [
	_month, `\.? +[0-9]{1,2}(?:st|nd|rd|th)?\b(?:,? +[0-9]{4}\b)?|`,
	`[0-9]{1,2}(?:st|nd|rd|th)?(?: of)? +`, _month, `\b(?:,? +[0-9]{4}\b)?`,
])

# METADATA
# description: A whole value that is a day, a time, or both, and nothing more.
is_time(value) if {
	regex.match(
		concat("", ["^(?:", _whole_day, "(?:[T ]", _hour, ")?|", _hour, ")(?: ?(?:Z|UTC|[+-][0-9]{2}:?[0-9]{2}))?$"]),
		value,
	)
}

_whole_day := `[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])`

_hour := `(?:[01]?[0-9]|2[0-4]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,9})?)?(?: ?[AaPp][Mm])?`

# METADATA
# description: The years in a text.
years(value) := {year | some year in regex.find_n(`\b(?:19|20)[0-9]{2}\b`, value, -1)}

_two_digits(digits) := digits if count(digits) == 2

_two_digits(digits) := concat("", ["0", digits]) if count(digits) == 1
