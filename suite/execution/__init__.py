"""Many trials: plan, skip what is done, run, record what failed."""
