"""A method in a training loop of one's own: what `suite.sparsify` returns, and callbacks."""
