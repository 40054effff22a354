"""Formats of data in task files: one file per format, which describes the data that is there."""
