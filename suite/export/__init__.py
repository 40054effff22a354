"""Export of trained networks: weights, ONNX, or a smaller form (compact, condensed, 2:4)."""
