"""Results of finished trials: records, and the stores that hold them. Imports no torch."""
