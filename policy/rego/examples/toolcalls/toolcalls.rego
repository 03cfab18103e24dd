# Which call of a tool goes through, waits for a person, or is refused.
#
# A call that only reads goes through. One that has an effect goes through where the
# user's request asks for such an effect and names what it is done to; a destination may
# be one that the tenant trusts instead, but then the request says what goes there. All
# other calls wait for approval, and so do arguments that the tool does not take. Refused
# is what nobody can approve: no call at all, an unknown tool, one that no role of the
# agent has.
package assent.toolcalls

import data.assent.toolcalls.request
import data.assent.toolcalls.tenant
import data.assent.toolcalls.text

# The call, and what the data says of its tool.

_name := input.message.body.tool

_arguments := input.message.body.args

_tool := data.tenants[input.principal.tenant].tools[_name]

_granted if {
	some role in data.agents[input.principal.id].roles
	_name in data.roles[role].tools
}

_fits if json.match_schema(_arguments, _tool.parameters)[0]

# METADATA
# description: What nobody can approve, as reasons to refuse.
refused contains "the message holds no call of a tool" if not _is_call

_is_call if {
	is_string(_name)
	is_object(_arguments)
}

refused contains sprintf("there is no tool %s", [_name]) if not _tool

refused contains "the subject is that of another tool" if {
	_tool.subject != input.message.subject
}

refused contains sprintf("no role of the agent has the tool %s", [_name]) if {
	_tool
	not _granted
}

# The values of the call, each with what its argument is. What is left out, null, empty
# or the tool's own default says nothing.

_given[name] := value if {
	some name, value in _arguments
	not value in {null, "", _default(name)}
	not value in [[], {}]
}

_default(name) := object.get(_tool.arguments[name], "default", null)

_leaves contains leaf if {
	some name, given in _given
	walk(given, [path, value])
	not is_array(value)
	not is_object(value)
	leaf := _leaf(name, [step | some step in path; is_string(step)], value)
}

_leaf(name, keys, value) := {
	"argument": name,
	"kind": _tool.arguments[name].kind,
	"value": value,
	"of": object.get(_tool.arguments[name], "of", ""),
} if {
	count(keys) == 0
}

# A field inside of an argument whose schema does not tell its fields.
_leaf(name, keys, value) := {
	"argument": name,
	"kind": _inner_kind(keys[count(keys) - 1]),
	"value": value,
	"of": regex.replace(keys[count(keys) - 1], `_?ids?_?$`, ""),
} if {
	count(keys) > 0
}

_inner_kind(key) := "object" if regex.match(`(^|_)ids?_?$`, key)

else := "detail"

_as_text(value) := value if is_string(value)

_as_text(value) := json.marshal(value) if not is_string(value)

# What the request covers.

_covered(leaf) if leaf.kind == "content"

_covered(leaf) if {
	leaf.kind == "time"
	request.allows_date(_as_text(leaf.value))
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
	not tenant.foreign(_as_text(leaf.value))
}

_reaches(value) if tenant.trusts(value)

_reaches(value) if tenant.named(value)

_reaches(value) if tenant.looked_up(value)

# The request itself names the value.
_names(leaf) if {
	leaf.kind in {"party", "url"}
	tenant.named(_as_text(leaf.value))
}

_names(leaf) if {
	leaf.kind == "object"
	tenant.names_thing(leaf.of, _as_text(leaf.value))
}

_names(leaf) if {
	leaf.kind in {"label", "detail", "choice"}
	request.names(_as_text(leaf.value))
}

_names(leaf) if {
	leaf.kind == "number"
	text.number(leaf.value) in data.assent.toolcalls.request.numbers
}

_names(leaf) if {
	leaf.kind == "secret"
	request.spells(_as_text(leaf.value))
}

_names(leaf) if {
	leaf.kind == "flag"
	request.names(replace(leaf.argument, "_", " "))
}

# What is made anew under a name that the request gives it may be described freely.
_new_and_named if {
	"create" in _tool.asks
	some leaf in _leaves
	leaf.kind == "label"
	_names(leaf)
}

_parties := {leaf | some leaf in _leaves; leaf.kind in {"party", "url"}}

_contents := {leaf | some leaf in _leaves; leaf.kind == "content"}

# Somebody whom the request did not name, though the tenant trusts them.
_unnamed_party if {
	some leaf in _parties
	not _names(leaf)
}

# At least one thing ties the call to the request, beside the kind of its effect.
_tied if {
	some leaf in _leaves
	leaf.kind in {"party", "url", "object", "label", "detail", "secret"}
	_names(leaf)
}

_tied if {
	data.assent.toolcalls.request.everybody
	count(_parties) > 0
	every leaf in _parties {
		tenant.trusts(_as_text(leaf.value))
	}
}

_tied if {
	count(_contents) > 0
	_dictated
}

_tied if {
	count(_leaves) == 0
	count(_tool.nouns) > 0
	every noun in _tool.nouns {
		some form in {noun, concat("", [noun, "s"])}
		request.names(form)
	}
}

# Every word of what is written stands in the request, but for two of one or two letters.
_dictated if {
	every leaf in _contents {
		request.dictates(_as_text(leaf.value))
	}
}

_sent_unasked if {
	count(_contents) > 0
	_unnamed_party
	not _dictated
}

# METADATA
# description: Why a call has to wait for somebody's approval. Empty where it need not.
held contains "the arguments do not fit the tool's schema" if not _fits

held contains sprintf("the tool takes no argument %s", [name]) if {
	some name, _ in _arguments
	not _tool.arguments[name]
}

held contains sprintf("the request names no such address: %s", [leaf.argument]) if {
	_tool.effect == "fetch"
	some leaf in _leaves
	leaf.kind == "url"
	not _covered(leaf)
}

held contains "the request does not ask for this kind of effect" if {
	_tool.effect == "act"
	not _asked
}

_asked if {
	some class in _tool.asks
	request.asks_for(class)
}

held contains sprintf("a destination neither named nor trusted: %s", [leaf.argument]) if {
	_tool.effect == "act"
	some leaf in _parties
	not _covered(leaf)
}

held contains sprintf("a value that the request does not name: %s", [leaf.argument]) if {
	_tool.effect == "act"
	some leaf in (_leaves - _parties)
	not _covered(leaf)
}

held contains "nothing that it is done to is named" if {
	_tool.effect == "act"
	not _tied
}

held contains sprintf("a text with an address that nobody named: %s", [leaf.argument]) if {
	_tool.effect == "act"
	some leaf in _contents
	tenant.foreign(_as_text(leaf.value))
}

held contains "a text of its own to somebody who is not named" if {
	_tool.effect == "act"
	_sent_unasked
}

held contains "a text of its own where the request says what to write" if {
	_tool.effect == "act"
	count(_parties) > 0
	count(_contents) > 0
	count(data.assent.toolcalls.request.dictations) > 0
	not _some_dictated
}

_some_dictated if _dictated

_some_dictated if {
	some leaf in _contents
	request.dictated_in(_as_text(leaf.value))
}

# A tool whose effect is of a kind that this policy does not know.
held contains "an effect of an unknown kind" if {
	not _tool.effect in {"none", "fetch", "act"}
}
