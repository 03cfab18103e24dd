"""What operators see and do: one module an area, each a set of operations.

Rule: an operator's own tenant is all that exists for it, an admin sees all; what is
ordered is carried out as the caller's agent or recorded with its name, never silently.
"""
