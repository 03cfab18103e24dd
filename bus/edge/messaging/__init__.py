"""Messages for clients: published, asked after, read from streams, and pulled.

Rule: every operation is done as the caller's own agent, under policy, in its tenant.
"""
