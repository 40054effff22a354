"""Tuning: a fair search for each method's hyperparameters, on validation data alone."""
