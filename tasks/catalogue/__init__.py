"""What exists: datasets and tasks, declared. No file here imports torch."""
