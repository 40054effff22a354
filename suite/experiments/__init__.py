"""Registry of methods and tasks, trials, and studies. Imports no torch."""
