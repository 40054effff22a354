"""Published results, and the tables made of them."""

import pytest

from leaderboard.reproduction import published_results as papers
from leaderboard.reproduction.published_results import (
    PublishedResult,
    published,
    published_files,
    table,
    tables,
)
from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.study import shipped_studies

FILES = 18
RESULTS = 388


def test_every_file_of_published_results_can_be_read_and_says_where_they_are_from():
    files = published_files()
    assert len(files) == FILES
    results = [result for name in files for result in published(name)]
    assert len(results) == RESULTS
    for result in results:
        assert "" not in (result.paper, result.source, result.metric, result.method)
        assert result.trust in ("primary", "secondary", "abstract")


def test_what_a_file_and_a_group_say_holds_for_their_rows():
    results = published("rigl_2020_readme_imagenet")
    first, sparse = results[0], results[1]
    assert {r.paper for r in results} == {"RigL (Evci et al. 2020, ICML, arXiv:1911.11134)"}
    assert (sparse.method, sparse.sparsity, sparse.value) == ("RigL-ERK-5x", 0.8, 77.17)
    assert (sparse.train_flops, sparse.test_flops) == ("2.09x", "0.42x")
    assert sparse.notes.endswith("label smoothing 0.1")
    assert first.notes.endswith("test FLOPs: 8.2e9")  # a row's own note stands


def test_the_last_epoch_of_set_s_logs_is_their_mean_over_five_seeds():
    results = published("set_2019_fashion_mnist_2000")
    for method in ("FC-MLP (dense)", "FixProb-MLP (static sparse)", "SET-MLP"):
        mine = [r for r in results if r.method == method]
        logs = [r.value for r in mine if r.metric == "test_acc_pct_last_epoch"]
        mean = next(r for r in mine if r.metric == "test_acc_pct_last_epoch_mean5")
        assert len(logs) == 5
        assert sum(logs) / 5 == pytest.approx(mean.value)
        variance = sum((x - mean.value) ** 2 for x in logs) / 4
        assert variance**0.5 == pytest.approx(mean.std, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "number"),
    [(76.5, 76.5), (">0.3", 0.3), ("0.42x", 0.42), (-38, -38), ("705M", None), ("in words", None)],
)
def test_a_printed_value_is_read_as_the_number_it_shows(text, number):
    result = published("lth_2019")[0].model_copy(update={"value": text})
    assert result.number() == number


def test_the_tables_are_those_of_the_papers():
    assert tables() == [
        "acdc-imagenet", "gmp-resnet50", "grasp-cifar", "itop-imagenet", "lth-mnist",
        "mest-imagenet", "rigl-cifar10-wrn22-2", "rigl-imagenet", "rigl-imagenet-flops",
        "rigl-mnist", "set-fashion-mnist-2000", "sr-ste-imagenet", "srigl-imagenet",
        "str-imagenet",
    ]  # fmt: skip


@pytest.mark.parametrize("name", tables())
def test_every_row_of_a_table_finds_published_results_and_trials_of_its_study(name):
    found = table(name)
    study = found.load_study()
    assert (study is None) == all(rows.trials is None for rows in found.rows)
    assert found.study is None or found.study in shipped_studies()
    lines = list(found.lines())
    assert {id(rows) for rows, _ in lines} == {id(rows) for rows in found.rows}
    reproduced = 0
    for rows, result in lines:
        if rows.trials is not None and study is not None:
            sparsity = result.sparsity if result else None
            trials = rows.trials.among(study, sparsity)
            seeds = [trial.seed for trial in trials]
            assert len(seeds) == len(set(seeds)), "several trials of one seed stand for one number"
            reproduced += bool(trials)
        if rows.computed is not None:
            assert rows.computed.task in registry.tasks()
    assert reproduced or study is None


def test_a_published_result_stands_in_a_table_once():
    for name in tables():
        results = [id(result) for _, result in table(name).lines() if result is not None]
        assert len(results) == len(set(results))


def test_unknown_tables_and_results_get_the_nearest_name():
    with pytest.raises(InvalidInput, match="did you mean rigl-mnist"):
        table("rigl-mnst")
    with pytest.raises(InvalidInput, match="unknown published results"):
        published("rigl_2021")


@pytest.mark.parametrize("text", ["rows: 3", "rows: [{nothing: 1}]", "- a list", "a: [1"])
def test_a_table_that_is_declared_wrongly_is_named_in_one_line(tmp_path, monkeypatch, text):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "broken.yaml").write_text(text)
    monkeypatch.setattr(papers, "FOLDER", tmp_path)
    with pytest.raises(InvalidInput, match="table broken") as refused:
        table("broken")
    assert "\n" not in str(refused.value)


def test_a_result_says_no_more_than_its_fields():
    with pytest.raises(ValueError, match="colour"):
        PublishedResult(**published("lth_2019")[0].model_dump(), colour="red")
