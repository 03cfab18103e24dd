"""Recorded decisions, decided again under another policy."""
