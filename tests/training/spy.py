"""Look over the training loop's shoulder."""

from typing import Any

import suite.training.loop as loop
from suite.experiments.trial_config import Trial
from suite.training.trial import run_trial


def spy_batches(monkeypatch: Any, trial: Trial, *, rates: bool = False) -> list[tuple]:
    """Run a trial; return for each step a digest of its batch (and its learning rate)."""
    seen: list[tuple] = []
    real = loop._step

    def step(training, number, batch, *rest):
        loss = real(training, number, batch, *rest)
        x, y = batch
        rate = training.optimizer.param_groups[0]["lr"]
        seen.append((float(x.double().sum()), tuple(y.tolist()), *([rate] if rates else [])))
        return loss

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_step", step)
        run_trial(trial)
    return seen
