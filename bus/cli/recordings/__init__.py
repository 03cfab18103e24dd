"""Recorded actions of agents: read, judged by the names of tools, and sent anew."""
