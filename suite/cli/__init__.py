"""The `resonance` command: one file per verb."""
