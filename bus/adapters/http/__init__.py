"""HTTP: the operator's endpoint."""
