"""What every other folder rests on: errors, seeds, declarations. Imports neither torch nor pydantic."""
