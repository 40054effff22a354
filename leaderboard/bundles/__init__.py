"""Bundles: records of many trials in one file, to submit; and their checks."""
