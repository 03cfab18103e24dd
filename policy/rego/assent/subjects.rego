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
