"""Benchmarks of the suite's own speed: `resonance bench` and `make bench`."""
