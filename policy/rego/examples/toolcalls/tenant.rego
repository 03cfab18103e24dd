# What the tenant's data says of a destination or a thing.
package assent.toolcalls.tenant

import data.assent.toolcalls.naming
import data.assent.toolcalls.text

_tenant := data.tenants[input.principal.tenant]

_own contains value if some value in _tenant.own

_domains contains domain if some domain in _tenant.domains

# METADATA
# description: The tenant's administrator knows this destination.
trusts(value) if lower(value) in _own

trusts(value) if _tenant.people[lower(value)]

trusts(value) if {
	text.is_email(value)
	split(lower(value), "@")[1] in _domains
}

trusts(value) if {
	text.is_account(value)
	upper(replace(value, " ", "")) in (_own | {account | some account in _tenant.accounts})
}

trusts(value) if {
	some listed in _tenant.names
	value in listed
}

trusts(value) if {
	some domain in _domains
	text.host(value) == domain
}

trusts(value) if {
	some domain in _domains
	endswith(text.host(value), concat("", [".", domain]))
}

# METADATA
# description: A text of the request names this destination itself, in whatever form it has.
named(said, value) if lower(value) in text.emails(said)

named(said, value) if text.link(value) in text.links(said)

named(said, value) if {
	text.is_account(value)
	naming.numbers_exactly(said, value)
}

named(said, value) if {
	not regex.match(`[@/\\:?#]`, value)
	naming.says_exactly(said, value)
}

named(said, value) if {
	name := _tenant.people[lower(value)]
	naming.words_exactly(said, name)
	count([1 | some other in _tenant.people; lower(other) == lower(name)]) == 1
}

named(said, value) if {
	first := _first(_tenant.people[lower(value)])
	naming.names_alone(said, first)
	count([1 | some other in _tenant.people; _first(other) == first]) == 1
}

# METADATA
# description: A place, not a person, of the tenant's own.
is_place(value) if {
	some kind in {"board", "channel", "folder", "group", "room", "space", "team", "workspace"}
	value in _tenant.names[kind]
}

# METADATA
# description: By what names the request may call a destination.
names_of(value) := ({value} | {name | name := _tenant.people[lower(value)]}) | {first |
	first := _first(_tenant.people[lower(value)])
}

_first(name) := parts[0] if {
	parts := regex.find_n(`[0-9A-Za-z\x{c0}-\x{1fff}\x{2070}-\x{2fff}\x{3040}-\x{10ffff}]+`, name, -1)
	count(parts) > 1
}

# METADATA
# description: |
#   The request names a person and says where the address is to be found, and this
#   address has exactly that name, at a provider where an address has one owner or at a
#   host that the request names. Data with `lookups` false switches it off.
looked_up(said, value) if {
	_tenant.lookups == true
	data.assent.toolcalls.request.looks_up
	text.is_email(value)
	parts := split(lower(value), "@")
	_vouched(parts[1])
	naming.words_exactly(said, concat(" ", [_capital(part) | some part in split(parts[0], ".")]))
}

_vouched(domain) if domain in data.public_mail

_vouched(domain) if domain in data.assent.toolcalls.request.hosts

_capital(word) := concat("", [upper(substring(word, 0, 1)), substring(word, 1, -1)])

# METADATA
# description: |
#   A text of the request names this thing: by its id, or by a name nothing else has.
names_thing(said, _, id) if {
	_is_one_word(id)
	some word in {"id", "ids", "number", "no"}
	naming.words(said, concat(" ", [word, id]))
}

names_thing(said, kind, id) if {
	kind != ""
	_is_one_word(id)
	naming.words(said, concat(" ", [replace(kind, "_", " "), id]))
}

names_thing(said, _, id) if {
	count(id) >= 6
	regex.match(`[0-9]`, id)
	naming.says(said, id)
}

names_thing(said, kind, id) if {
	label := _tenant.objects[kind][id]
	_label_named(said, label)
	count([1 |
		some other in _tenant.objects[kind]
		contains(text.phrase(lower(other)), text.phrase(lower(label)))
		_label_named(said, other)
	]) == 1
}

_is_one_word(id) if regex.match(`^[0-9A-Za-z\x{c0}-\x{1fff}\x{2070}-\x{2fff}\x{3040}-\x{10ffff}]+(?:[._-][0-9A-Za-z\x{c0}-\x{1fff}\x{2070}-\x{2fff}\x{3040}-\x{10ffff}]+)*$`, id)

# A name of one common word is meant only where it is quoted.
_label_named(said, label) if {
	naming.words(said, label)
	count(regex.find_n(`[0-9A-Za-z\x{c0}-\x{1fff}\x{2070}-\x{2fff}\x{3040}-\x{10ffff}]+`, label, 2)) == 2
}

_label_named(said, label) if naming.quotes(said, label)

# METADATA
# description: |
#   What a text carries that leads elsewhere, and that neither the request nor the
#   tenant's data knows: addresses, links, numbers of accounts.
foreign(value) if {
	some email in text.emails(value)
	not email in data.assent.toolcalls.request.emails
	not trusts(email)
}

foreign(value) if {
	some link in (text.links(lower(value)) - data.assent.toolcalls.request.small_links)
	not trusts(link)
	not link in _labels
}

foreign(value) if {
	some digits in text.long_numbers(value)
	not naming.numbers_exactly(data.assent.toolcalls.request.said, digits)
}

_labels contains lower(label) if {
	some listed in _tenant.objects
	some label in listed
}
