import io

import polars as pl
import pytest

from leaderboard.tables import METRIC, Board, Cell, build_boards, summary_frame, trial_frame
from suite import registry
from suite.errors import TrialFailed
from suite.results.record import Record, failed
from tests.sample_records import done, make_trial


def only(records: list[Record]) -> Board:
    boards, excluded = build_boards(records)
    assert excluded == []
    (board,) = boards
    return board


def row(board: Board, method: str, settings: str = "") -> list[Cell | None]:
    (cells,) = [
        cells for entry, cells in board.rows if (entry.method, entry.settings) == (method, settings)
    ]
    return cells


def seeds(method: str, accuracies: list[float], **given) -> list[Record]:
    return [
        done(make_trial(method, seed=seed, **given), accuracy)
        for seed, accuracy in enumerate(accuracies)
    ]


def test_seeds_of_one_method_at_one_sparsity_are_one_cell():
    board = only(seeds("static", [0.90, 0.92, 0.94]))
    assert board.task == "digits/mlp"
    assert board.sparsities == [0.9]
    (cell,) = row(board, "static")
    assert cell is not None
    assert cell.values == [0.90, 0.92, 0.94]
    assert cell.seeds == [0, 1, 2]
    assert cell.realised == [0.9] * 3
    assert cell.interval is not None
    assert cell.interval.mean == pytest.approx(0.92)


def test_columns_are_the_sparsities_in_ascending_order_and_missing_cells_are_missing():
    records = seeds("static", [0.9], sparsity=0.95) + seeds("rigl", [0.9], sparsity=0.8)
    board = only(records)
    assert board.sparsities == [0.8, 0.95]
    assert row(board, "static")[0] is None
    assert row(board, "rigl")[1] is None


def test_dense_stands_in_every_column_and_first():
    records = seeds("static", [0.99]) + seeds("static", [0.98], sparsity=0.8)
    board = only(records + seeds("dense", [0.5, 0.6]))
    assert board.sparsities == [0.8, 0.9]
    assert board.rows[0][0].method == "dense"
    left, right = row(board, "dense")
    assert left == right
    assert left is not None
    assert left.values == [0.5, 0.6]


def test_a_board_of_dense_alone_has_one_column():
    board = only(seeds("dense", [0.9]))
    assert len(board.sparsities) == 1
    assert row(board, "dense")[0] is not None


def test_training_flops_are_relative_to_the_mean_of_dense():
    records = [
        done(make_trial("dense", seed=0), training=100.0),
        done(make_trial("dense", seed=1), training=300.0),
        done(make_trial("static"), training=50.0),
    ]
    assert only(records).dense_flops == 200.0
    assert only(records[2:]).dense_flops is None


def test_sparse_rows_are_in_order_of_their_accuracy():
    records = seeds("static", [0.8]) + seeds("rigl", [0.9]) + seeds("set", [0.85])
    board = only(records + seeds("dense", [0.7]))
    assert [entry.method for entry, _ in board.rows] == ["dense", "rigl", "set", "static"]


def test_the_order_of_records_does_not_change_the_board():
    records = seeds("static", [0.8, 0.81]) + seeds("rigl", [0.9]) + seeds("dense", [0.7])
    assert only(records).rows == only(sorted(records, key=lambda r: r.trial["method"])).rows


def test_other_hyperparameters_are_another_row():
    settings = {"update_every": 10, "dense_layers": ["1", "3"], "replace_step": True}
    board = only(seeds("rigl", [0.9]) + seeds("rigl", [0.8], hyperparameters=settings))
    (cell,) = row(board, "rigl", "dense_layers=1,3, update_every=10, replace_step=true")
    assert cell is not None
    assert cell.values == [0.8]
    (plain,) = row(board, "rigl")
    assert plain is not None
    assert plain.values == [0.9]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ({"recipe": {"epochs": 3}}, "epochs=3"),
        ({"recipe": {"epochs": 3, "nesterov": True}}, "epochs=3, nesterov=true"),
        ({"device": "cuda"}, "device=cuda"),
        ({"threads": 2}, "threads=2"),
    ],
)
def test_trials_that_were_trained_otherwise_stand_on_a_board_of_their_own(override, words):
    boards, _ = build_boards(seeds("static", [0.9]) + seeds("static", [0.8], **override))
    assert {board.settings for board in boards} == {"", words}
    assert {board.title for board in boards} == {"digits/mlp", f"digits/mlp ({words})"}
    for board in boards:
        (cell,) = row(board, "static")
        assert cell is not None
        assert cell.values == [0.8 if board.settings else 0.9]


def test_tasks_stand_on_boards_of_their_own():
    records = seeds("static", [0.9]) + seeds("static", [0.8], task="mnist/lenet_300_100")
    boards, _ = build_boards(records)
    assert [board.task for board in boards] == ["digits/mlp", "mnist/lenet_300_100"]


def test_a_failure_is_listed_and_not_averaged():
    bad = failed(make_trial("static", seed=7), TrialFailed("loss is nan at step 3"))
    (cell,) = row(only([*seeds("static", [0.9, 0.92]), bad]), "static")
    assert cell is not None
    assert cell.values == [0.9, 0.92]
    assert cell.failures == ["loss is nan at step 3"]
    (alone,) = row(only([bad]), "static")
    assert alone is not None
    assert alone.interval is None


@pytest.mark.parametrize("kind", ["task", "method"])
def test_a_record_of_another_revision_is_left_out_and_listed(kind):
    old = done(make_trial("static", seed=1))
    name = old.trial[kind]
    current = old.configuration[f"{kind}_revision"]
    old.configuration[f"{kind}_revision"] = current - 1
    boards, excluded = build_boards([*seeds("static", [0.9]), old])
    (cell,) = row(boards[0], "static")
    assert cell is not None
    assert cell.values == [0.9]
    (left_out,) = excluded
    assert left_out.key == old.key
    assert f"{kind} {name} is at revision {current}, this record at {current - 1}" in (
        left_out.reason
    )


def test_a_record_of_a_task_that_was_declared_otherwise_is_left_out_and_listed():
    old = done(make_trial("static", seed=1))
    old.configuration["task_digest"] = "0" * 12
    boards, (left_out,) = build_boards([*seeds("static", [0.9]), old])
    (cell,) = row(boards[0], "static")
    assert cell is not None
    assert cell.values == [0.9]
    assert left_out.key == old.key
    assert "task digits/mlp is declared differently now" in left_out.reason


def test_a_method_that_is_not_here_is_shown_by_its_name():
    record = done(make_trial("static"))
    record.trial["method"] = "somebody_s"
    assert [entry.label for entry, _ in only([record]).rows] == ["somebody_s"]


def test_a_known_method_is_shown_by_its_title_and_settings():
    records = seeds("rigl", [0.9], hyperparameters={"update_every": 10})
    (entry,) = [entry for entry, _ in only(records).rows]
    assert entry.label == f"{registry.methods()['rigl'].title} (update_every=10)"


# ---------------------------------------------------------------- CSV


def test_the_csv_of_cells_has_one_row_per_cell():
    bad = failed(make_trial("rigl", sparsity=0.8), TrialFailed("broke"))
    records = seeds("static", [0.90, 0.92]) + seeds("dense", [0.95])
    boards, _ = build_boards([*records, bad])
    frame = pl.read_csv(io.StringIO(summary_frame(boards).write_csv()))
    assert frame.columns == [
        "task", "recipe", "method", "hyperparameters", "sparsity", "metric", "n", "mean", "ci_low",
        "ci_high", "realised_sparsity", "training_flops", "failed",
    ]  # fmt: skip
    cells = {(r["method"], r["sparsity"]): r for r in frame.iter_rows(named=True)}
    assert set(cells) == {(m, s) for m in ("dense", "static", "rigl") for s in (0.8, 0.9)}
    static = cells["static", 0.9]
    assert (static["n"], static["mean"], static["metric"]) == (2, pytest.approx(0.91), METRIC)
    assert static["ci_low"] < 0.91 < static["ci_high"]
    assert (cells["rigl", 0.8]["failed"], cells["rigl", 0.8]["mean"]) == (1, None)
    assert (cells["static", 0.8]["n"], cells["static", 0.8]["mean"]) == (0, None)
    assert cells["dense", 0.8]["mean"] == cells["dense", 0.9]["mean"] == 0.95


@pytest.mark.parametrize("failure_first", [True, False])
def test_the_csv_of_trials_has_one_row_per_record_with_all_metrics(failure_first):
    good = done(make_trial("static", recipe={"epochs": 3}), 0.9)
    bad = failed(make_trial("rigl", seed=1), TrialFailed("broke"))
    frame = trial_frame([bad, good] if failure_first else [good, bad])
    rows = {r["method"]: r for r in frame.iter_rows(named=True)}
    assert rows["static"]["key"] == good.key
    assert rows["static"]["test_accuracy"] == 0.9
    assert rows["static"]["training_flops"] == 100.0
    assert rows["static"]["recipe"] == "epochs=3"
    assert rows["static"]["realised_sparsity"] == 0.9
    assert rows["static"]["error"] is None
    assert rows["rigl"]["status"] == "failed"
    assert rows["rigl"]["error"] == "broke"
    assert rows["rigl"]["test_accuracy"] is None
    assert rows["rigl"]["realised_sparsity"] is None


def test_a_text_with_commas_and_quotes_survives_csv():
    record = done(make_trial("static"))
    record.trial["method"] = 'a,"b"\nc'
    boards, _ = build_boards([record])
    frame = pl.read_csv(io.StringIO(summary_frame(boards).write_csv()))
    assert frame["method"].to_list() == ['a,"b"\nc']
