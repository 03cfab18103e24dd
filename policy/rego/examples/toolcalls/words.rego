# How people ask for an effect. One who is asked for a delivery hears "send", "write",
# "reply"; what is listed here is English, and an administrator may add to it.
package assent.toolcalls.words

# METADATA
# description: |
#   By class of effects: words that ask for it wherever they stand.
plain := {
	"message": {
		"announce", "broadcast", "inform", "let her know", "let him know", "let them know", "notify", "publish", "respond", "send",
		"sending", "submit", "write", "writing",
	},
	"money": {
		"donate", "make a payment", "make a transfer", "make the payment", "pay", "paying", "reimburse", "refund", "remit", "repay", "send",
		"sending", "set up", "settle", "split", "wire",
	},
	"create": {
		"add", "arrange", "compose", "create", "creating", "generate", "make", "making",
		"organise", "organize", "register", "save", "upload", "write",
	},
	"book": {"booking", "buy", "create", "hire", "make", "purchase", "rent", "reserve", "reserving"},
	"add": {"add", "adding", "append", "attach", "include", "insert", "invite", "join", "put"},
	"share": {"grant", "invite", "inviting", "sharing"},
	"update": {
		"add", "adjust", "append", "correct", "decrease", "edit", "extend", "increase", "lower", "raise",
		"modify", "postpone", "put", "rename", "replace", "reschedule", "reset", "revise",
		"rewrite", "set", "updating", "changing",
	},
	"delete": {
		"ban", "cancel", "cancelling", "delete", "deleting", "discard", "erase", "kick",
		"purge", "remove", "removing", "revoke", "unsubscribe",
	},
}

# METADATA
# description: |
#   Words that ask for it only where a verb stands, and else are the names of things:
#   "the email", "her reply", "an order".
loose := {
	"message": {
		"answer", "e-mail", "email", "forward", "mail", "message", "post", "reply",
		"share", "text",
	},
	"money": {"deposit", "schedule", "transfer", "withdraw"},
	"create": {"book", "draft", "open", "plan", "schedule", "start"},
	"book": {"book", "order", "schedule"},
	"add": {"share"},
	"share": {"share", "assign", "allow"},
	"update": {"change", "move", "switch", "update"},
	"delete": {"clear", "close", "drop", "leave", "trash"},
}

# METADATA
# description: What stands before a verb; "." is the end of what was said before.
before := {".", "also", "and", "can", "first", "just", "kindly", "must", "or", "please", "should", "then", "to", "you"}

# METADATA
# description: What stands after a verb that is done to somebody.
after := {"all", "each", "every", "everybody", "everyone", "her", "him", "it", "them", "this"}

# METADATA
# description: Everybody who is known, as people say it.
everybody := `(^|[^a-z])(everybody|everyone|(all|every|each)( of)?( the| our| my)? (channel|colleague|contact|employee|group|member|people|person|room|team|user)s?)([^a-z]|$)`

# METADATA
# description: Words by which a day is worked out from another.
reckoned := {
	"today", "tonight", "tomorrow", "later", "next", "following", "day", "days", "night",
	"nights", "week", "weeks", "weekend", "month", "months", "monday", "tuesday",
	"wednesday", "thursday", "friday", "saturday", "sunday", "every",
}
