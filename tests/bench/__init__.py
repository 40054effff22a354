"""Performance bars, measured side by side in one process: `make bench`.

Only ratios are judged: the machine's own speed drifts, so the two sides take turns and the median
of the ratios of neighbouring blocks is printed.
"""
