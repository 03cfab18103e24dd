"""Built-in strategies: each says which of the matching subscriptions get a message."""
