"""The fleet of `assent demo`: real agents that survey a folder, and one that attacks."""
