"""The detector is measured against a transform that gives the same answer."""

import torch

from suite.bench import detector
from suite.resonance.detector import History


def test_both_sides_read_all_of_the_same_history(monkeypatch):
    history = History(16, 50, torch.float32)
    history.rows.normal_()
    history.recorded = 16
    read = []
    monkeypatch.setattr(detector, "CHUNK", {"cpu": 16 * 20})
    monkeypatch.setattr(detector, "dominant", lambda power, interpolate: read.append(power.shape))
    ours, peer = detector.works(history, refines=True)
    peer()
    assert read == [(8, 20), (8, 20), (8, 10)]
    ours()


def test_there_is_a_figure_with_and_without_refinement_and_a_bar_for_one(monkeypatch):
    monkeypatch.setattr(detector, "seconds", lambda work, device: 50e-9)
    monkeypatch.setattr(detector, "ratios", lambda subject, peer, blocks, device: [6.0] * blocks)
    found = list(detector.run((32,), size=10, blocks=3))
    assert [one.unit for one in found] == ["×", "ns per weight"] * 2
    assert [one.value for one in found] == [6.0, 5.0, 6.0, 5.0]
    assert [one.bar is not None for one in found] == [True, False, False, False]
    assert found[0].what == "torch.fft / detector, N = 32, dominant bin"
    assert (found[0].bar.limit, found[0].bar.least) == (5.0, True)
