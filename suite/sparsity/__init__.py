"""The sparse core: masks, distributions, schedules, FLOPs and the base class of every method.

It knows nothing of tasks, trials or stores.
"""
