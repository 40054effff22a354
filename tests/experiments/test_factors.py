"""What an ablation varies, and the trials that follow."""

from typing import Any

import pytest

from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.factors import combinations, factors_of
from suite.experiments.trial_config import Trial
from suite.results.ablation_design import ablation_of
from tests.support.sample_studies import study


def settings(trials: list[Trial]) -> list[dict[str, Any]]:
    return [trial.hyperparameters for trial in trials if trial.seed == 0]


def test_one_at_a_time_changes_one_setting_of_the_base():
    found = settings(study({"window": [8, 64], "cooldown": [0]}).trials())
    assert found == [{}, {"window": 8}, {"window": 64}, {"cooldown": 0}]


def test_a_grid_has_every_combination_with_the_default_of_each_factor():
    found = settings(study({"window": [8, 64], "cooldown": [0]}, grid=True).trials())
    assert found[0] == {}
    assert len(found) == 3 * 2
    assert {"window": 64, "cooldown": 0} in found
    assert {"cooldown": 0} in found


def test_a_level_at_the_default_is_the_base_trial_and_runs_once():
    with_default = study({"window": [8, 32]})
    assert settings(with_default.trials()) == [{}, {"window": 8}]
    (base, *_) = ablation_of(with_default).designs[0].cells
    assert base.trials[0] == Trial.make(task="digits/mlp", method="resonance", sparsity=0.9).key


def test_what_is_set_holds_in_every_cell():
    found = settings(study({"window": [8]}, set={"update_every": 5}).trials())
    assert found == [{"update_every": 5}, {"window": 8, "update_every": 5}]


def test_levels_that_are_numbers_ascend_and_words_keep_their_order():
    method = registry.methods()["resonance"]
    window, cooldown = factors_of(method, {}, {"window": [64, 8], "cooldown": [400, 0]})
    assert window.levels == (8, 32, 64)
    assert cooldown.levels == ("auto", 400, 0)
    assert len(combinations([window, cooldown], grid=True)) == 9


@pytest.mark.parametrize(
    ("vary", "words"),
    [
        ({"windw": [8, 16]}, ["'windw' of resonance", "did you mean window"]),
        ({"window": [4]}, ["window=4", "from 8 to 4096"]),
        ({"window": ["wide"]}, ["window='wide'", "from 8 to 4096"]),
        ({"window": []}, ["no level is given", "from 8 to 4096"]),
        ({"window": [32]}, ["32 alone is the default"]),
        ({"window": [8, 16, 8]}, ["8 is given twice"]),
        ({"window": [8, 8.0]}, ["8 is given twice"]),
        ({"update_every": [7]}, ["both set and varied"]),
        ({"window": list(range(8, 400, 2))}, ["196 levels", "at most 100"]),
    ],
)
def test_what_cannot_be_varied_is_refused_in_one_line(vary, words):
    with pytest.raises(InvalidInput) as refused:
        study(vary, set={"update_every": 5}).trials()
    message = str(refused.value)
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_a_grid_that_nobody_runs_is_refused_before_it_is_made():
    wide = {name: list(range(1, 100)) for name in ("update_every", "record_every", "cooldown")}
    with pytest.raises(InvalidInput, match="combinations, more than 10000"):
        study(wide, grid=True).trials()
