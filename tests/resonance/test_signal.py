import torch

from suite.resonance.signal import Reading


def test_the_score_is_the_frequency_or_what_it_lacks_and_silence_is_the_lowest_of_both():
    frequency = torch.tensor([0.0, 0.25, 1.0, 1e-9])
    reading = Reading(frequency, torch.ones(4))
    assert reading.score("high") is frequency
    low = reading.score("low")
    assert low[0] == 0
    assert low[1:].tolist() == [0.75, torch.finfo(torch.float32).eps, 1.0]


def test_a_silent_reading_has_neither_frequency_nor_strength():
    reading = Reading.silent(3, torch.device("cpu"))
    assert reading.frequency.tolist() == reading.strength.tolist() == [0, 0, 0]
    assert reading.score("low").tolist() == [0, 0, 0]
