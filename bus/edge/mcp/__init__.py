"""Tools over MCP: an agent that speaks MCP is a client of a node, like any other.

Rule: this package alone knows the MCP library. Every tool asks a node, as the agent whose
token it was given, so policy decides there on each; nothing is decided here.
"""
