"""Tasks: datasets, models and the recipes that pair them."""
