"""Analyses of the suite's own training: what it does, measured while it trains as usual."""
