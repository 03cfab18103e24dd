"""The embedded engine in a process of its own, for policy that nobody vouches for."""
