"""Two ways of doing the same work take turns."""

import contextlib

import torch

from suite.bench import turns


def test_each_pair_is_the_subject_over_the_peer_whoever_goes_first(monkeypatch):
    clock = 0.0

    def work(takes: float):
        def run() -> None:
            nonlocal clock
            clock += takes
            ran.append(takes)

        return run

    ran: list[float] = []
    monkeypatch.setattr(turns.time, "perf_counter", lambda: clock)
    assert turns.ratios(work(3.0), work(2.0), blocks=4) == [1.5] * 4
    assert ran == [2.0, 3.0, 3.0, 2.0, 2.0, 3.0, 3.0, 2.0, 2.0, 3.0]


def test_work_on_a_gpu_is_timed_by_its_events(monkeypatch):
    happened = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            happened.append("event")

        def synchronize(self):
            happened.append("wait")

        def elapsed_time(self, end):
            return 250.0  # milliseconds

    monkeypatch.setattr(turns.torch.cuda, "Event", Event)
    monkeypatch.setattr(turns.torch.cuda, "device", lambda device: contextlib.nullcontext())
    assert turns.seconds(lambda: happened.append("work"), torch.device("cuda")) == 0.25
    assert happened == ["event", "work", "event", "wait"]
