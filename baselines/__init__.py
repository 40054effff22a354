"""Published baselines: one file per method, each a Sparsifier with its declaration at the top."""
