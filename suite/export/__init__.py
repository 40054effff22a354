"""A trained network, taken out of the store: its weights, ONNX, or without its dead units."""
