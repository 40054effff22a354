"""Declarations of datasets and tasks. No file here imports torch."""
