"""Coding agents' hooks: a call of a tool is a governed message before it is made."""
