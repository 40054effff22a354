"""Published experiments run again: trainers of protocols that do not fit the training loop."""
