"""The training loop's figures: what each side of them holds."""

import itertools
from types import SimpleNamespace
from unittest import mock

import pytest
import torch

from suite.bench import loop
from suite.core.errors import InvalidInput
from suite.training.seeding import reproducible


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that stands still unless it is told to go on."""
    clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
    monkeypatch.setattr(loop, "time", clock)
    return clock


@pytest.fixture
def no_data(monkeypatch):
    """Let the published images be missing: noise takes their place."""
    monkeypatch.setattr(loop, "load_data", mock.Mock(side_effect=InvalidInput("missing")))


def test_a_race_is_the_time_of_the_suites_steps_over_that_of_as_many_of_the_peers(
    clock, monkeypatch
):
    taken = []

    def train(training, start, after_step):
        for step in range(1, 4 * loop.TURN + 1):
            clock.now += 3.0
            taken.append("suite")
            after_step(step)

    def peer():
        while True:
            clock.now += 1.5
            taken.append("peer")
            yield

    monkeypatch.setattr(loop, "train", train)
    assert loop.Race(None, peer()).epoch() == 2.0
    assert taken.count("suite") == taken.count("peer") == 4 * loop.TURN
    turns = [(side, len(list(group))) for side, group in itertools.groupby(taken)]
    assert turns == [("suite", loop.TURN), ("peer", loop.TURN)] * 4


def test_what_is_timed_is_added_up(clock):
    def work(seconds):
        clock.now += seconds
        if seconds > 5:
            raise ValueError("too long")
        return seconds

    inside = loop.Clock()
    assert inside.timed(work)(2.0) == 2.0
    with pytest.raises(ValueError, match="too long"):
        inside.timed(work)(seconds=6.0)
    assert inside.seconds == 8.0


def test_both_sides_have_the_same_batches_and_the_peer_trains_without_end(no_data):
    trial = loop._trial()
    with reproducible(torch.device("cpu"), threads=1):
        data = loop._data(trial, 2)
        training = loop._prepared(trial, data, 2)
        assert (training.steps, len(data.train)) == (2, 256)
        peer = loop.bare_steps(trial, data)
        for _ in range(5):
            next(peer)


def test_figures_come_out(no_data):
    (raced,) = loop.against_bare(steps=2 * loop.TURN, epochs=1)
    assert raced.unit == "×"
    assert 0.2 < raced.value < 5
    (share,) = loop.share(steps=3, epochs=2)
    assert 0 < share.value < 100
    assert share.bar is not None
