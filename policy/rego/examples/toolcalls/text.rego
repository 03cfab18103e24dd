# The parts of a text: its words, addresses, links and numbers, as they are compared.
package assent.toolcalls.text

# METADATA
# description: |
#   The words of a text between single spaces, with one at each end. What is joined by
#   a dot, a hyphen or an underscore is one word: a file's name, a host.
phrase(value) := sprintf(" %s ", [concat(" ", regex.find_n(
	`[\p{L}\p{N}]+(?:[._-][\p{L}\p{N}]+)*`,
	value,
	-1,
))])

# METADATA
# description: Every run of letters and digits, small.
words(value) := {word | some word in regex.find_n(`[\p{L}\p{N}]+`, lower(value), -1)}

_email := `[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+`

_link := `(?:https?://)?(?:[a-z0-9-]+\.)+[a-z]{2,24}(?::[0-9]+)?(?:[/?#][^\s'"<>()]*)?`

# METADATA
# description: The e-mail addresses in a text, small.
emails(value) := {lower(found) | some found in regex.find_n(_email, value, -1)}

# METADATA
# description: A whole value that is one e-mail address.
is_email(value) if regex.match(concat("", ["^", _email, "$"]), value)

# METADATA
# description: The links in a text, as `link` writes them.
links(value) := {link(found) |
	some found in regex.find_n(_link, regex.replace(value, _email, " "), -1)
}

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

_canonical(digits) := trim_right(trim_right(digits, "0"), ".") if contains(digits, ".")

else := digits

# METADATA
# description: |
#   Runs of nine or more digits in a text, spaces and hyphens left out: numbers of
#   accounts, cards and phones. Dates are none.
long_numbers(value) := {replace(replace(found, " ", ""), "-", "") |
	some found in regex.find_n(
		`[0-9](?:[ -]?[0-9]){8,}`,
		regex.replace(value, `[0-9]{4}-[0-9]{2}-[0-9]{2}`, " . "),
		-1,
	)
}

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

_spoken_days(value) := array.concat(
	regex.find_n(concat("", [_month, `\.? +[0-9]{1,2}`]), value, -1),
	regex.find_n(concat("", [`[0-9]{1,2}(?:st|nd|rd|th)?(?: of)? +`, _month]), value, -1),
)

_two_digits(digits) := digits if count(digits) == 2

_two_digits(digits) := concat("", ["0", digits]) if count(digits) == 1
