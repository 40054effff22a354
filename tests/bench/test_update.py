"""Updates are measured where they happen, with a bar where they are a ranking."""

import pytest

from suite.bench import update


@pytest.fixture(autouse=True)
def equal_times(monkeypatch):
    """Do the work of both sides once, and call it equally long."""

    def ratios(subject, peer, blocks):
        subject()
        peer()
        return [1.0] * blocks

    monkeypatch.setattr(update, "ratios", ratios)


def test_a_ranking_has_a_bar_and_what_is_more_has_none():
    rigl, resonance = update.run(("rigl", "resonance"), side=24, blocks=2)
    assert rigl.what == "update of rigl, 576 weights at 90% / torch.topk"
    assert (rigl.value, rigl.bar.limit) == (1.0, 3.0)
    assert resonance.bar is None
    assert "no bar" in resonance.note


def test_methods_without_an_update_in_training_have_no_figure():
    assert list(update.run(("dense", "static", "snip", "lottery_ticket"), side=24, blocks=1)) == []


def test_what_is_timed_is_an_update(monkeypatch):
    done = []
    base = update.Sparsifier.update_connectivity

    def update_connectivity(sparsifier, step):
        done.append(sparsifier.is_update(step))
        return base(sparsifier, step)

    monkeypatch.setattr(update.Sparsifier, "update_connectivity", update_connectivity)
    list(update.run(("set",), side=24, blocks=1))
    assert done == [True]
