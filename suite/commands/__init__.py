"""Verbs of the `resonance` command that have files of their own."""
