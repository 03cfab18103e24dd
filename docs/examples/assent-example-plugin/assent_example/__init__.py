"""A stage and a strategy for Assent, as an example to start from."""
