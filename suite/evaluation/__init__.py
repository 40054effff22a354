"""Measurements of a trained network: scores, robustness, dead units, size, latency."""
