"""The basis of all other packages: errors, seeds, declarations. Imports no torch."""
