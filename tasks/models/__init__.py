"""Models of tasks, each built by a function of (shape, classes, width)."""
