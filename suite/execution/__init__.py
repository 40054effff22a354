"""Runs many trials: plan, skip what is done, run, retry, record failures."""
