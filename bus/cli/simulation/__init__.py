"""Deterministic simulation: a bus, its store and its recovery under virtual time."""
