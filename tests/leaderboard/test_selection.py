import pytest

from leaderboard.boards import Boards
from leaderboard.selection import Selection, select
from suite.core.errors import InvalidInput
from suite.results.ablation_design import ablation_of, save
from suite.results.store import Store
from suite.results.stored_studies import remember
from tests.support.sample_records import done
from tests.support.sample_studies import study as varied_study


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path)
    store.prepare()
    return store


def test_without_documents_every_trial_is_taken(store):
    assert select(store) == Selection()
    assert select(store).takes("a" * 16)


def test_levels_are_left_out_unless_they_are_asked_for(store):
    varied = varied_study({"window": [8, 16]})
    save(store, ablation_of(varied))
    keys = {trial.key for trial in varied.trials()}
    assert {key for key in keys if select(store).takes(key)} == set()
    assert all(select(store, include_ablations=True).takes(key) for key in keys)
    one = select(store, "small")
    assert (one.study, one.keys, one.apart) == ("small", keys, {})
    assert not one.takes("a" * 16)


def test_a_study_that_shares_trials_with_an_ablation_shows_all_of_its_own(store):
    varied = varied_study({"window": [8, 16]})
    plain = varied.model_copy(update={"name": "plain", "methods": ()})
    save(store, ablation_of(varied))
    remember(store, plain, dict(list(varied.trials_by_key().items())[:2]))
    own = {trial.key for trial in varied.trials()[:2]}
    assert {t.key for t in varied.trials() if select(store).takes(t.key)} == own
    with pytest.raises(InvalidInput, match=r"unknown study 'plan'.*plain"):
        select(store, "plan")


def test_a_record_that_is_apart_is_placed_but_neither_counted_nor_listed():
    trial = varied_study({"window": [8, 16]}).trials()[0]
    boards = Boards()
    placed = boards.add(done(trial), "ablation small")
    assert not placed.on_board
    assert placed.left_out == "it belongs to ablation small only, and boards are of studies"
    assert (boards.built(), boards.excluded) == ([], [])
