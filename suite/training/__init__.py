"""One trial, from configuration to record."""
