"""Models that tasks train, each built by a function (shape, classes, width)."""
