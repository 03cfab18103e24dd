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

# METADATA
# description: Verbs with which another clause begins, though they ask for no effect.
others := {
	"analyse", "analyze", "ask", "calculate", "call", "check", "compare", "compile", "count",
	"describe", "digest", "download", "estimate", "explain", "extract", "fetch", "find", "get",
	"give", "highlight", "identify", "list", "look", "merge", "note", "open", "outline",
	"prepare", "print", "quote", "read", "recommend", "remember", "report", "return", "review",
	"run", "say", "search", "see", "show", "skim", "sort", "suggest", "summarise", "summarize",
	"tell", "translate", "use", "verify", "view", "visit", "watch",
}

# METADATA
# description: Words that point back to somebody.
persons := {"he", "her", "him", "his", "she", "their", "them", "they"}

# METADATA
# description: Words that point back to a thing.
things := {"it", "its", "that", "them", "these", "this", "those"}

# METADATA
# description: What a number beside them is the number of.
numbered := {
	"#", "account", "bill", "building", "chapter", "code", "contract", "edition", "extension",
	"flat", "id", "in", "invoice", "invoices", "issue", "line", "no", "nr", "number", "order",
	"page", "phone", "pin", "po", "receipt", "ref", "reference", "report", "room", "section",
	"since", "statement", "step", "ticket", "version", "year",
}

# METADATA
# description: Currencies, as people write them.
currencies := {
	"$", "£", "¥", "€", "aud", "bucks", "cad", "chf", "cny", "dollar", "dollars", "eur", "euro",
	"euros", "francs", "gbp", "inr", "jpy", "nok", "pence", "pln", "pounds", "quid", "sek", "usd",
	"yen",
}

# METADATA
# description: What an amount stands directly after.
paying := {
	"@", "amount", "back", "deposit", "donate", "her", "him", "me", "pay", "paying", "refund",
	"reimburse", "remit", "repay", "send", "sending", "split", "sum", "them", "total", "transfer",
	"us", "wire", "withdraw",
}

# METADATA
# description: Names of amounts, before "of", "is" or "to".
amounts := {
	"amount", "deposit", "donation", "fee", "limit", "payment", "price", "refund", "reimbursement",
	"sum", "tip", "total", "transfer",
}

# METADATA
# description: Verbs that change an amount.
changing := {"adjust", "change", "decrease", "increase", "lower", "raise", "reduce", "reset", "set", "update"}

# METADATA
# description: What may stand directly after an amount that has no currency.
after_amount := {
	".", ",", "'", ":", ";", ")", "(", "@", "and", "as", "at", "back", "before", "by", "each", "every",
	"for", "from", "in", "into", "monthly", "now", "on", "per", "please", "to", "today", "tomorrow",
	"tonight", "using", "via", "weekly", "with", "yearly",
}
