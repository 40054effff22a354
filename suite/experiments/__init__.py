"""What is run: the registry of methods and tasks, trials and studies. Imports no torch."""
