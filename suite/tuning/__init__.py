"""Hyperparameter tuning: the same search for every method, on validation data only."""
