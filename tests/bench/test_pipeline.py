"""The input pipeline's figure."""

from suite.bench import pipeline


def test_the_figure_is_per_batch(monkeypatch):
    monkeypatch.setattr(pipeline, "WORKERS", 0)
    monkeypatch.setattr(pipeline, "ratios", lambda theirs, ours, blocks: [6.0] * blocks)
    (found,) = pipeline.against_torchvision(images=1000, ours=4, theirs=2, blocks=3)
    assert found.value == 12.0  # two batches took six times as long as four
    assert found.met


def test_both_sides_yield_as_many_batches_as_they_say(monkeypatch):
    monkeypatch.setattr(pipeline, "WORKERS", 0)
    (found,) = pipeline.against_torchvision(images=1000, ours=2, theirs=1, blocks=1)
    assert found.value > 0
    assert found.unit == "×"
