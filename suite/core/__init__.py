"""What every other folder builds on: errors, seeds, declarations. Imports no torch."""
