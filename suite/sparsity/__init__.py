"""The sparse core: masks, distributions, schedules, FLOPs and the base class of every method.

It is independent of tasks, trials and stores.
"""
