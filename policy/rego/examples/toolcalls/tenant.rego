# What the tenant's data says of a destination or a thing.
package assent.toolcalls.tenant

import data.assent.toolcalls.request
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
# description: The request names this destination itself, in whatever form it has.
named(value) if lower(value) in data.assent.toolcalls.request.emails

named(value) if text.link(value) in data.assent.toolcalls.request.links

named(value) if {
	text.is_account(value)
	request.numbers_exactly(value)
}

named(value) if {
	not regex.match(`[@/\\:?#]`, value)
	request.names_exactly(value)
}

named(value) if {
	name := _tenant.people[lower(value)]
	request.names_exactly(name)
	count([1 | some other in _tenant.people; lower(other) == lower(name)]) == 1
}

named(value) if {
	first := _first(_tenant.people[lower(value)])
	request.names_alone(first)
	count([1 | some other in _tenant.people; _first(other) == first]) == 1
}

_first(name) := parts[0] if {
	parts := regex.find_n(`[\p{L}\p{N}]+`, name, -1)
	count(parts) > 1
}

# METADATA
# description: |
#   The request names a person and says where the address is to be found, and this
#   address has exactly that name, at a provider where an address has one owner or at a
#   host that the request names. Data with `lookups` false switches it off.
looked_up(value) if {
	_tenant.lookups == true
	data.assent.toolcalls.request.looks_up
	text.is_email(value)
	parts := split(lower(value), "@")
	_vouched(parts[1])
	request.names_exactly(concat(" ", [_capital(part) | some part in split(parts[0], ".")]))
}

_vouched(domain) if domain in data.public_mail

_vouched(domain) if domain in data.assent.toolcalls.request.hosts

_capital(word) := concat("", [upper(substring(word, 0, 1)), substring(word, 1, -1)])

# METADATA
# description: |
#   The request names this thing: by its id, or by a name nothing else has.
names_thing(_, id) if {
	some word in {"id", "ids", "number", "no"}
	request.names(concat(" ", [word, id]))
}

names_thing(kind, id) if {
	kind != ""
	request.names(concat(" ", [replace(kind, "_", " "), id]))
}

names_thing(_, id) if {
	count(id) >= 6
	regex.match(`[0-9]`, id)
	request.names(id)
}

names_thing(kind, id) if {
	label := _tenant.objects[kind][id]
	_label_named(label)
	count([1 |
		some other in _tenant.objects[kind]
		contains(text.phrase(lower(other)), text.phrase(lower(label)))
		_label_named(other)
	]) == 1
}

# A name of one common word is meant only where it is quoted.
_label_named(label) if {
	request.names(label)
	count(regex.find_n(`[\p{L}\p{N}]+`, label, 2)) == 2
}

_label_named(label) if request.quotes(label)

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
	some link in text.links(lower(value))
	not link in data.assent.toolcalls.request.links
	not trusts(link)
	not request.names(link)
	not _is_thing(link)
}

foreign(value) if {
	some digits in text.long_numbers(value)
	not request.numbers_exactly(digits)
}

_is_thing(label) if {
	some listed in _tenant.objects
	some other in listed
	lower(other) == label
}
