"""Adaptive resonance frequency modulation: the method of this project, in four parts.

detector: gradients → resonance frequency; threshold: the periodic T(φ); controller: measured
sparsity → amplitude A; connectivity: frequencies and T → what is connected. `method` joins them.
It sees gradients through a `signal.Signal` alone, which records, reads and saves them:
`spectral_signal` is the one of the detector.
"""
