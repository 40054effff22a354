"""What a finished trial leaves behind, and where it is kept. Imports no torch."""
