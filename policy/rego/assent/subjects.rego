# Subjects and patterns, by the conventions of NATS: tokens split by ".", "*" stands
# for one token, ">" for one or more at the tail.
package assent.subjects

# METADATA
# description: |
#   Everything that falls under `wanted` falls under `granted`. A subject is a pattern
#   without wildcards. No wildcard of a grant reaches into the subjects of the bus,
#   which start with "$": these have to be named.
covers(granted, wanted) if granted == wanted

covers(granted, wanted) if {
	contains(granted, "*")
	not endswith(granted, ">")
	startswith(granted, "$") == startswith(wanted, "$")
	g := split(granted, ".")
	w := split(wanted, ".")
	count(g) == count(w)
	every i, token in g {
		_token_covers(token, w[i])
	}
}

covers(granted, wanted) if {
	endswith(granted, ">")
	startswith(granted, "$") == startswith(wanted, "$")
	g := split(granted, ".")
	w := split(wanted, ".")
	tail := count(g) - 1
	count(w) > tail
	every i, token in array.slice(g, 0, tail) {
		_token_covers(token, w[i])
	}
}

_token_covers(granted, wanted) if granted == wanted

_token_covers("*", wanted) if wanted != ">"

# METADATA
# description: |
#   Some subject falls under both patterns. Wildcards do not reach the subjects of the
#   bus here either.
overlap(one, other) if {
	startswith(one, "$") == startswith(other, "$")
	a := _head(one)
	b := _head(other)
	_lengths_meet(endswith(one, ">"), endswith(other, ">"), count(a), count(b))
	every i, token in array.slice(a, 0, count(b)) {
		_tokens_meet(token, b[i])
	}
}

# The tokens before a ">".
_head(pattern) := [token | some token in split(pattern, "."); token != ">"]

_lengths_meet(one, other, _, _) if {
	one
	other
}

_lengths_meet(true, false, a, b) if a < b

_lengths_meet(false, true, a, b) if b < a

_lengths_meet(false, false, a, b) if a == b

_tokens_meet(a, b) if a == b

_tokens_meet(a, b) if "*" in {a, b}
