"""The engine of resonance-bench: sparse core, resonance method, training, studies, records."""

__version__ = "0.1.0"
