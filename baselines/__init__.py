"""Published baselines: one file per method, with its declaration and its Sparsifier."""
