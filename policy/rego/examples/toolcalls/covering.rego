# Which values of a call the user's request covers, and which it names.
package assent.toolcalls

import data.assent.toolcalls.amounts
import data.assent.toolcalls.naming
import data.assent.toolcalls.request
import data.assent.toolcalls.tenant
import data.assent.toolcalls.text

# What the clauses that ask for the tool's effect name: people, things, places.

_asking := data.assent.toolcalls.clauses.asking

_people := concat("\n", [scope.people | some scope in _asking])

_things := concat("\n", [scope.things | some scope in _asking])

_places := concat("\n", [scope.places | some scope in _asking])

_whole := data.assent.toolcalls.clauses.whole

# What the request covers.

_covered(leaf) if leaf.kind == "content"

_covered(leaf) if {
	leaf.kind == "time"
	request.allows_time(_as_text(leaf.value))
}

# Something had to be said, and this switches nothing on.
_covered(leaf) if {
	leaf.kind == "flag"
	leaf.value == false
	leaf.argument in _tool.parameters.required
}

_covered(leaf) if {
	leaf.kind in {"party", "url"}
	_reaches(_as_text(leaf.value))
}

_covered(leaf) if _names(leaf)

_covered(leaf) if {
	leaf.kind == "detail"
	_new_and_named
	not _is_crowded(leaf)
	not tenant.foreign(_as_text(leaf.value))
}

_is_crowded(leaf) if text.is_crowded(_as_text(leaf.value), bounds.links)

_reaches(value) if tenant.trusts(value)

_reaches(value) if tenant.looked_up(_people, value)

# The request itself names the value, and names it where it asks for the effect.
_names(leaf) if {
	leaf.kind in {"party", "url"}
	tenant.named(_people, _as_text(leaf.value))
}

_names(leaf) if {
	leaf.kind in {"party", "url"}
	_is_place(leaf)
	tenant.named(_places, _as_text(leaf.value))
}

# What is only read may be named anywhere.
_names(leaf) if {
	leaf.kind in {"party", "url"}
	_tool.effect == "fetch"
	tenant.named(_whole, _as_text(leaf.value))
}

_names(leaf) if {
	leaf.kind == "object"
	tenant.names_thing(_things, leaf.of, _as_text(leaf.value))
}

_names(leaf) if {
	leaf.kind in {"label", "detail", "choice"}
	naming.says(_things, _as_text(leaf.value))
}

# What is new is described in other sentences too.
_names(leaf) if {
	leaf.kind in {"label", "detail", "choice"}
	"create" in _tool.asks
	count(_asking) > 0
	naming.says(_whole, _as_text(leaf.value))
}

_names(leaf) if {
	leaf.kind == "number"
	not _is_amount(leaf)
	some scope in _asking
	amounts.asks_number(scope.own, text.number(leaf.value))
}

_names(leaf) if {
	leaf.kind == "number"
	_is_amount(leaf)
	some scope in _asking
	_names_whom(scope)
	amounts.asks_amount(scope.own, text.number(leaf.value), _called(scope))
}

_names(leaf) if {
	leaf.kind == "secret"
	some scope in _asking
	naming.dictates_secret(scope.own, _as_text(leaf.value))
}

_names(leaf) if {
	leaf.kind == "flag"
	some scope in _asking
	contains(scope.heard, sprintf(" %s ", [lower(replace(leaf.argument, "_", " "))]))
}

_is_place(leaf) if leaf.kind == "url"

_is_place(leaf) if tenant.is_place(_as_text(leaf.value))

_is_amount(_) if "money" in _tool.asks

_is_amount(leaf) if {
	regex.match(`(?i)(^|_)(amount|cost|fee|payment|price|sum|total)s?(_|$)`, leaf.argument)
}

# The clause that has an amount also has whom or what it goes to.
_names_whom(scope) if {
	some leaf in _parties
	tenant.named(scope.people, _as_text(leaf.value))
}

_names_whom(scope) if {
	some leaf in _leaves
	leaf.kind == "object"
	tenant.names_thing(scope.things, leaf.of, _as_text(leaf.value))
}

_names_whom(scope) if {
	some leaf in _leaves
	leaf.kind == "label"
	naming.says(scope.things, _as_text(leaf.value))
}

_names_whom(scope) if _means_everybody(scope)

_called(scope) := {name |
	some leaf in _parties
	tenant.named(scope.people, _as_text(leaf.value))
	some name in tenant.names_of(_as_text(leaf.value))
}

_means_everybody(scope) if regex.match(data.assent.toolcalls.words.everybody, scope.heard)

# What is made anew under a name that the request gives it may be described freely.
_new_and_named if {
	"create" in _tool.asks
	some leaf in _leaves
	leaf.kind == "label"
	_names(leaf)
}
