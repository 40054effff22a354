"""Export of trained networks: weights, ONNX, or a compact network without dead units."""
