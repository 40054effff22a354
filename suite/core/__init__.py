"""What all other packages use: errors, seeds, declarations. It imports no torch and no pydantic."""
