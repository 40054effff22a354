"""The engine of resonance-bench: sparsity core, the resonance method, training, studies, records."""

__version__ = "0.1.0"
