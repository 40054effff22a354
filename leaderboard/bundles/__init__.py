"""Bundles: records of many trials in one file, to send and to show; and how they are checked."""
