"""`assent replay` on a suite: what a policy for tool calls lets through, and what not."""
