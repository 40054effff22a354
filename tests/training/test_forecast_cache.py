"""Forecasts are remembered between processes, and never wrong."""

import pytest

from suite.core.errors import InvalidInput
from suite.training import forecast_cache, training_code
from suite.training.forecast_cache import FOLDER, known_steps, remembered_steps
from tests.support.helpers import trial


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RESONANCE_CACHE", str(tmp_path))
    monkeypatch.setattr(forecast_cache, "_known", {})
    return tmp_path / FOLDER


def another_process(monkeypatch):
    monkeypatch.setattr(forecast_cache, "_known", {})


def never() -> int:
    raise AssertionError("a forecast was made")


OF = trial("rigl", recipe={"flops_budget": 0.5})


def test_a_forecast_is_made_once_whatever_the_seed(cache, monkeypatch):
    assert known_steps(OF) is None
    assert remembered_steps(OF, lambda: 123) == 123
    another_process(monkeypatch)
    assert remembered_steps(OF.model_copy(update={"seed": 7}), never) == 123
    assert known_steps(OF) == 123
    assert len(list(cache.iterdir())) == 1


def test_other_settings_and_other_code_have_forecasts_of_their_own(monkeypatch):
    remembered_steps(OF, lambda: 123)
    another_process(monkeypatch)
    for other in ({"sparsity": 0.8}, {"recipe": {"flops_budget": 0.4}}):
        assert known_steps(trial("rigl", **other)) is None
    monkeypatch.setattr(training_code, "_suite_code", lambda: "edited")
    assert known_steps(OF) is None
    assert remembered_steps(OF, lambda: 124) == 124


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b"",
        lambda b: b[:-9],
        lambda b: b.replace(b"123", b"132", 1),
        lambda b: b"\xff" + b,
        lambda b: b * 1000,
        lambda b: b"9" * 5000,
    ],
    ids=["empty", "cut", "altered", "noise", "long", "digits"],
)
def test_a_damaged_file_is_computed_again_and_mended(cache, monkeypatch, damage):
    remembered_steps(OF, lambda: 123)
    (path,) = cache.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    another_process(monkeypatch)
    assert known_steps(OF) is None
    assert remembered_steps(OF, lambda: 123) == 123
    another_process(monkeypatch)
    assert remembered_steps(OF, never) == 123


def test_a_file_of_another_configuration_is_not_read(cache, monkeypatch):
    remembered_steps(OF, lambda: 123)
    (path,) = cache.iterdir()
    other = trial("rigl", recipe={"flops_budget": 0.6})
    about = forecast_cache._about(other)
    path.rename(cache / about[:32])
    another_process(monkeypatch)
    assert known_steps(other) is None


def test_without_a_folder_to_write_to_a_process_remembers_for_itself(cache):
    cache.parent.joinpath(FOLDER).write_text("a file in its place")
    assert remembered_steps(OF, lambda: 123) == 123
    assert remembered_steps(OF, never) == 123


def test_an_error_is_not_remembered():
    def refuse() -> int:
        raise InvalidInput("too small")

    with pytest.raises(InvalidInput):
        remembered_steps(OF, refuse)
    assert remembered_steps(OF, lambda: 5) == 5
