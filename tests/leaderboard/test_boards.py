import io

import polars as pl
import pytest

from leaderboard.board_claims import board_claims
from leaderboard.board_markdown import board_markdown
from leaderboard.boards import Board, Cell, build_boards
from leaderboard.chart_rows import ALL, CHART_ROWS
from leaderboard.data_frames import csv_text, summary_frame, trial_frame
from leaderboard.page_data import page_data
from leaderboard.pooled_scores import pooled_scores
from leaderboard.summary_table import marks, summary_table
from suite.core.errors import TrialFailed
from suite.experiments import registry
from suite.results.record import Record, failed
from tests.support.sample_records import done, make_trial


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
    assert cell.scores == [0.90, 0.92, 0.94]
    assert cell.seeds == [0, 1, 2]
    assert cell.column("realised_sparsity") == [0.9] * 3
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
    assert left.scores == [0.5, 0.6]


def test_the_cells_of_a_board_are_those_with_a_trial_and_that_of_dense_once():
    records = [*seeds("static", [0.99]), *seeds("rigl", [0.98], sparsity=0.8), *seeds("dense", [1])]
    records.append(failed(make_trial("rigl", sparsity=0.9), TrialFailed("loss is not finite")))
    board = only(records)
    found = [(cell.entry.method, cell.sparsity, cell.cell.scores) for cell in board.cells()]
    assert found == [
        ("dense", None, [1]), ("static", 0.9, [0.99]), ("rigl", 0.8, [0.98]), ("rigl", 0.9, []),
    ]  # fmt: skip


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
    assert only(records).dense["training_flops"] == 200.0
    assert only(records[2:]).dense == {}


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
    assert cell.scores == [0.8]
    (plain,) = row(board, "rigl")
    assert plain is not None
    assert plain.scores == [0.9]


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
        assert cell.scores == [0.8 if board.settings else 0.9]


def test_tasks_stand_on_boards_of_their_own():
    records = seeds("static", [0.9]) + seeds("static", [0.8], task="mnist/lenet_300_100")
    boards, _ = build_boards(records)
    assert [board.task for board in boards] == ["digits/mlp", "mnist/lenet_300_100"]


def test_a_failure_is_listed_and_not_averaged():
    bad = failed(make_trial("static", seed=7), TrialFailed("loss is nan at step 3"))
    (cell,) = row(only([*seeds("static", [0.9, 0.92]), bad]), "static")
    assert cell is not None
    assert cell.scores == [0.9, 0.92]
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
    assert cell.scores == [0.9]
    assert "out of date" in marks(cell, 0.9)[-1].reason
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
    assert cell.scores == [0.9]
    assert left_out.key == old.key
    assert "task digits/mlp is declared differently now" in left_out.reason


def test_a_method_that_is_not_here_is_shown_by_its_name_and_as_such():
    record = done(make_trial("static"))
    record.trial["method"] = "somebody_s"
    assert [entry.label for entry, _ in only([record]).rows] == ["somebody_s (not installed here)"]


def test_a_method_named_like_the_title_of_another_is_a_competitor_of_its_own():
    records = [*seeds("rigl", [0.9, 0.8]), *seeds("static", [0.5, 0.4])]
    for record in records[2:]:
        record.trial["method"] = registry.methods()["rigl"].title
    board = only(records)
    scores = pooled_scores([board]).scores
    assert [by[board.title] for by in scores.values()] == [{0: 0.9, 1: 0.8}, {0: 0.5, 1: 0.4}]
    labels = [entry["label"] for entry in page_data([board])["entries"]]
    assert labels == list(scores) == ["RigL", "RigL (not installed here)"]


def test_long_settings_are_shortened_in_names_and_still_told_apart():
    records = seeds("static", [0.9, 0.8])
    for place, record in enumerate(records):
        record.trial["method"] = "somebody_s"
        record.trial["hyperparameters"] = {"words": "x" * 3900 + str(place)}
        record.trial["recipe"] = {"words": "x" * 3900 + str(place)}
    boards, _ = build_boards(records)
    assert len({board.title for board in boards}) == 2
    entries = [entry for board in boards for entry, _ in board.rows]
    assert len({entry.label for entry in entries}) == 2
    assert max(map(len, [*(b.title for b in boards), *(e.label for e in entries)])) < 250
    assert [entry.settings[-1] for entry in entries] == ["0", "1"]


def test_shares_of_a_dense_network_without_operations_or_score_are_missing():
    dense, sparse = done(make_trial("dense"), 0.0, 0.0), done(make_trial("static"), 0.5)
    board = only([dense, sparse])
    (cell,) = row(board, "static")
    assert board.column(cell, "training_flops") is None
    assert {name: CHART_ROWS[name]([board], ALL) for name in ("cost", "profile", "iqm")} == {
        "cost": [], "profile": [], "iqm": [],
    }  # fmt: skip


def test_a_known_method_is_shown_by_its_title_and_settings():
    records = seeds("rigl", [0.9], hyperparameters={"update_every": 10})
    (entry,) = [entry for entry, _ in only(records).rows]
    assert entry.label == f"{registry.methods()['rigl'].title} (update_every=10)"


def test_tuned_settings_are_an_entry_of_their_own_on_the_same_board():
    tuned = seeds("rigl", [0.95], hyperparameters={"update_every": 50}, recipe={"learning_rate": 1})
    given = seeds("rigl", [0.93], hyperparameters={"update_every": 50})
    (board,), _ = build_boards([*tuned, *given], {tuned[0].key: ["learning_rate"]})
    assert {(e.settings, e.tuned): c.scores for e, (c,) in board.rows if c} == {
        ("update_every=50, learning_rate=1.0", True): [0.95],
        ("update_every=50", False): [0.93],
    }


def test_a_trial_that_was_never_tested_is_no_result():
    record = done(make_trial("static"))
    del record.metrics["test_accuracy"]
    assert build_boards([record]) == ([], [])


def test_a_second_trial_of_a_seed_is_listed_and_does_not_count():
    first, second = done(make_trial("static"), 0.9), done(make_trial("static"), 0.1)
    second.key = "f" * 16
    boards, (left_out,) = build_boards([first, second])
    assert row(boards[0], "static")[0].scores == [0.9]
    assert left_out.key == second.key


def test_few_seeds_and_failures_are_said_of_a_cell():
    bad = failed(make_trial("static", seed=7), TrialFailed("loss is nan at step 3"))
    (cell,) = row(only([*seeds("static", [0.9, 0.92]), bad]), "static")
    assert cell is not None
    few, failure = marks(cell, 0.9)
    assert few.reason.startswith("n = 2")
    assert failure.reason == "1 failed: loss is nan at step 3"
    (enough,) = row(only(seeds("static", [0.9, 0.92, 0.9, 0.91, 0.9])), "static")
    assert enough is not None
    assert marks(enough, 0.9) == []


# ---------------------------------------------------------------- CSV


def test_the_csv_of_cells_has_one_row_per_cell():
    bad = failed(make_trial("rigl", sparsity=0.8), TrialFailed("broke"))
    records = seeds("static", [0.90, 0.92]) + seeds("dense", [0.95])
    boards, _ = build_boards([*records, bad])
    frame = pl.read_csv(io.StringIO(summary_frame(boards).write_csv()))
    assert frame.columns[:11] == [
        "task", "recipe", "method", "hyperparameters", "tuned", "sparsity", "n", "test_accuracy",
        "metric", "ci_low", "ci_high",
    ]  # fmt: skip
    assert set(frame["metric"]) == {"test_accuracy"}
    assert frame.columns[-5:] == [
        "failed",
        "out_of_date",
        "no_update",
        "off_budget",
        "flops_budget",
    ]
    cells = {(r["method"], r["sparsity"]): r for r in frame.iter_rows(named=True)}
    assert set(cells) == {(m, s) for m in ("dense", "static", "rigl") for s in (0.8, 0.9)}
    static = cells["static", 0.9]
    assert (static["n"], static["test_accuracy"]) == (2, pytest.approx(0.91))
    assert static["ci_low"] < 0.91 < static["ci_high"]
    assert (cells["rigl", 0.8]["failed"], cells["rigl", 0.8]["test_accuracy"]) == (1, None)
    assert (cells["static", 0.8]["n"], cells["static", 0.8]["test_accuracy"]) == (0, None)
    assert cells["dense", 0.8]["test_accuracy"] == cells["dense", 0.9]["test_accuracy"] == 0.95


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


def test_a_metric_takes_no_other_columns_name_in_csv():
    record = done(make_trial("static"))
    record.metrics |= {"key": 1.0, "status": 2.0, "training_flops": 3.0, "error": 4.0}
    record.timing["seconds"] = "long"
    (found,) = trial_frame([record]).iter_rows(named=True)
    assert (found["key"], found["status"]) == (record.key, "done")
    assert (found["training_flops"], found["error"], found["seconds"]) == (100.0, None, None)


def test_a_text_with_commas_and_quotes_survives_csv():
    record = done(make_trial("static"))
    record.trial["method"] = 'a,"b"\nc'
    boards, _ = build_boards([record])
    frame = pl.read_csv(io.StringIO(summary_frame(boards).write_csv()))
    assert frame["method"].to_list() == ['a,"b"\nc']


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        *(
            ("+1", "'+1"),
            ("\t=1", "' =1"),
            ("\r=1", "' =1"),
            ("\n@x", "' @x"),
            ("\uff1dx", "'\uff1dx"),
        ),
        *(("a\x1b[31m\u202eb\r\n=c", "a�[31m�b =c"), ("\tx", "' x"), ("a=b", "a=b")),
    ],
)
def test_a_cell_of_a_csv_is_one_line_and_no_formula(text, cell):
    assert csv_text(pl.DataFrame({"text": [text]})) == f"text\n{cell}\n"


def test_a_csv_holds_no_formula_and_numbers_as_they_are():
    texts = ["=1+1", "@a", " -x", "RigL", "", None, "a,b"]
    frame = pl.DataFrame({"text": texts, "number": [-1.5, 2.0, None, 0.0, 1.0, 2.0, -3.0]})
    again = pl.read_csv(csv_text(frame).encode())
    assert again["text"].to_list() == ["'=1+1", "'@a", "' -x", "RigL", "", None, "a,b"]
    assert again["number"].to_list() == frame["number"].to_list()


def idle(method: str = "set", **given) -> Record:
    return done(make_trial(method, **given)).model_copy(update={"no_update": "no update falls in"})


def test_a_method_that_never_updated_has_no_result():
    records = [idle(seed=seed) for seed in range(5)] + seeds("static", [0.8] * 5)
    (board,), excluded = build_boards(records)
    (cell,) = row(board, "set")
    assert cell is not None
    assert cell.runs == []
    assert cell.no_update == ["no update falls in"] * 5
    assert [(one.kind, one.sign) for one in marks(cell, 0.9)] == [("no-update", "no update")]
    assert "5 not counted as trials of the method: no update falls in" in marks(cell, 0.9)[0].reason
    assert {one.reason for one in excluded} == {"no update falls in"}
    (ranks,) = board_claims([board]).ranks.values()
    assert {entry.method for entry in ranks} == {"static"}
    assert summary_table([board]).rows[1].cells[0].mean == ""
    assert "| SET | no update |" in board_markdown(board)
    data = page_data([board])
    assert [one["no_update"] for one in data["marks"]] == [["no update falls in"] * 5]
    assert len(data["trials"]["key"]) == 5
    assert summary_frame([board])["no_update"].to_list() == [0, 5]
    assert {
        r["entry"] for rows in CHART_ROWS.values() for r in rows([board], ALL) if "entry" in r
    } <= {"Static random"}


def test_a_seed_that_updated_counts_beside_those_that_did_not():
    boards, _ = build_boards([idle(), *seeds("set", [0.5, 0.9])[1:]])
    (cell,) = row(boards[0], "set")
    assert cell is not None
    assert cell.scores == [0.9]
    assert [one.kind for one in marks(cell, 0.9)] == ["few", "no-update"]


def test_a_failed_trial_of_an_idle_method_is_a_failure():
    boards, _ = build_boards([failed(make_trial("set"), TrialFailed("no"))])
    (cell,) = row(boards[0], "set")
    assert cell is not None
    assert (cell.failures, cell.no_update) == (["no"], [])
