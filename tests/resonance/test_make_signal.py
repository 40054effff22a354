from types import SimpleNamespace

import pytest
import torch

from suite.resonance.averaged_signal import AveragedSignal
from suite.resonance.make_signal import make_signal
from suite.resonance.rate_signal import RateSignal
from suite.resonance.spectral_signal import SpectralSignal
from suite.training.trial import run_trial
from tests.support.every_method import assert_kept
from tests.support.helpers import trial

OPTIONS = {"window": 8, "detrend": "mean", "taper": "hann", "interpolate": True,
           "history_dtype": "float32"}  # fmt: skip


@pytest.mark.parametrize(
    ("reading", "average", "kind"),
    [
        ("dominant", 0.0, SpectralSignal),
        ("centroid", 0.0, SpectralSignal),
        ("dominant", 0.5, AveragedSignal),
        ("centroid", 0.5, AveragedSignal),
        ("rate", 0.0, RateSignal),
        ("rate", 0.5, RateSignal),
    ],
)
def test_each_reading_has_its_signal_and_orders_slow_before_fast(reading, average, kind):
    o = SimpleNamespace(**OPTIONS, reading=reading, average=average)
    signal = make_signal(o, {"a": (2, torch.device("cpu"))})
    assert type(signal) is kind
    turns = 2 * torch.pi * torch.arange(24)[:, None] * torch.tensor([0.1, 0.35])
    for step, gradient in enumerate(turns.sin(), start=1):
        signal.record({"a": gradient})
        if step % 8 == 0:
            slow, fast = signal.read("a").frequency.tolist()
            assert 0 < slow < 0.45 < 0.55 < fast < 1


@pytest.mark.parametrize(
    "options",
    [
        {"reading": "centroid", "average": 0.5},
        {"reading": "rate", "scope": "global", "average": 0.9},
        {"reading": "rate", "update_every": 29, "modulation": 0.0},  # at 116, freeze at 120
    ],
)
def test_a_trial_keeps_its_counts_its_zeros_and_its_declared_cost(options):
    options = {"update_every": 10, "bits": 1, "keep": "low"} | options
    assert_kept(run_trial(trial("resonance", hyperparameters=options)))
