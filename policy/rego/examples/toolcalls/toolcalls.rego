# Which call of a tool goes through, waits for a person, or is refused.
#
# A call that only reads goes through. One that has an effect goes through where a clause
# of the user's request asks for such an effect and names what it is done to; a
# destination may be one that the tenant trusts instead, but then the request says what
# goes there. All other calls wait for approval, and so do arguments that the tool does
# not take. Refused is what nobody can approve: no call at all, an unknown tool, one that
# no role of the agent has.
package assent.toolcalls

import data.assent.toolcalls.naming
import data.assent.toolcalls.request
import data.assent.toolcalls.tenant

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

# METADATA
# description: |
#   How much of a call is looked at: characters of its arguments, values in them,
#   addresses in a text, clauses of the request; past that it waits. `body_bytes` is the most that is carried.
#   A tenant's data may say otherwise under `bounds`.
bounds := object.union(
	{"args_chars": 16384, "values": 64, "links": 32, "clauses": 64, "body_bytes": 65536},
	object.get(object.get(data.tenants, input.principal.tenant, {}), "bounds", {}),
)

_is_small if {
	count(_arguments) <= bounds.values
	count(json.marshal(_arguments)) <= bounds.args_chars
}

# The values of the call, each with what its argument is. What is left out, null, empty
# or the tool's own default says nothing.

_given[name] := value if {
	_is_small
	some name, value in _arguments
	not value in {null, "", _default(name)}
	not value in [[], {}]
}

_default(name) := object.get(_tool.arguments[name], "default", null)

_leaves := _every_leaf if count(_every_leaf) <= bounds.values

else := set()

_every_leaf contains leaf if {
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
	some scope in _asking
	_means_everybody(scope)
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
		some scope in _asking
		naming.words(scope.own, form)
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
held contains "more than is looked at: the arguments are too long or too many" if not _is_small

held contains "more than is looked at: too many values" if count(_every_leaf) > bounds.values

held contains "more than is looked at: the request has too many clauses" if {
	_tool.effect == "act"
	data.assent.toolcalls.clauses.is_long
}

held contains "the arguments do not fit the tool's schema" if {
	_is_small
	not _fits
}

held contains sprintf("the tool takes no argument %s", [name]) if {
	_is_small
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

_asked if count(_asking) > 0

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
	not _is_crowded(leaf)
	tenant.foreign(_as_text(leaf.value))
}

held contains sprintf("more than is looked at: too many addresses in %s", [leaf.argument]) if {
	_tool.effect == "act"
	some leaf in _contents
	_is_crowded(leaf)
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
