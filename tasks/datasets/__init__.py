"""Loaders of datasets, one module per file format or library."""
