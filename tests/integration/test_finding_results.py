"""Somebody comes back to a store: its trials, one of them, two methods, boards of studies."""

import csv
import gzip
import json
import shutil
from pathlib import Path

import pytest

from suite.results.store import Store
from suite.results.stored_studies import study_keys
from tests.support.cli_runner import Command, Result
from tests.support.sample_records import done, make_trial

STUDY = """
name: mine
question: Is RigL better than fixed masks?
tasks: [digits/mlp]
methods: [static, rigl]
sparsities: [0.9]
seeds: 2
recipe: {epochs: 4}
controls_left_out: a small example
"""
ABLATE = (
    "ablate rigl --task digits/mlp --vary update_every=10,20 --seeds 2 --recipe epochs=4 "
    "--engine inline"
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """Run a study and an ablation that shares its base, once; the study's file is then removed."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("RESONANCE_STORE", raising=False)
        (folder / "mine.yaml").write_text(STUDY)
        for line in ("study mine.yaml --engine inline", ABLATE):
            assert run_quietly(patch, line) == 0
        (folder / "mine.yaml").unlink()
    return folder


def run_quietly(patch: pytest.MonkeyPatch, line: str) -> int:
    """Run the command where no fixture of a single test captures its output."""
    from suite.cli import app

    patch.setattr("sys.argv", ["resonance", *line.split()])
    with pytest.raises(SystemExit) as end:
        app.main()
    return int(end.value.code or 0)


@pytest.fixture
def place(place, finished) -> Path:
    """Come back to a copy of the finished store."""
    shutil.copytree(finished, place, dirs_exist_ok=True)
    return place


def read(result: Result):
    assert result.code == 0, result.err
    return json.loads(result.out)


def ablation(resonance: Command) -> str:
    (name,) = [r["name"] for r in read(resonance("list studies --json")) if r["kind"] == "ablation"]
    return name


# ------------------------------------------------------------------ 14: without a key at hand


@pytest.mark.parametrize("line", ["inspect", "show", "export", "evaluate", "inspect fff", "show g"])
def test_a_missing_or_unknown_key_leads_to_the_list_of_trials(resonance, place, line):
    assert "`resonance list trials`" in resonance(line).complaint


def test_trials_are_listed_with_what_tells_them_apart(resonance, place):
    head, *lines = resonance("list trials --sort seed --method rigl").out.splitlines()
    columns = head.split("\t")
    assert columns == [
        "key", "task", "method", "sparsity", "seed", "status", "metric", "seconds", "when",
    ]  # fmt: skip
    rows = [dict(zip(columns, line.split("\t"), strict=True)) for line in lines]
    assert [row["seed"] for row in rows] == ["0"] * 3 + ["1"] * 3
    assert {row["method"] for row in rows} == {
        "rigl epochs=4", "rigl update_every=10 epochs=4", "rigl update_every=20 epochs=4",
    }  # fmt: skip
    store = Store("results")
    for row in rows:
        record = store.read(row["key"])
        assert row["metric"] == f"{100 * record.metrics['test_accuracy']:.2f} %"
        assert row["when"] == record.timing["started"][:16].replace("T", " ")


def test_a_list_is_filtered_sorted_and_cut(resonance, place):
    every = read(resonance("list trials --json"))
    assert len(every) == 8
    assert [one["started"] for one in every] == sorted(
        (one["started"] for one in every), reverse=True
    )
    best = read(resonance("list trials --json --sort metric --limit 3"))
    assert [one["value"] for one in best] == sorted((o["value"] for o in every), reverse=True)[:3]
    worst = read(resonance("list trials --json --sort metric --reverse --limit 1"))
    assert worst[0]["value"] == min(one["value"] for one in every)
    one = read(resonance("list trials --json --method static --seed 1 -s 0.9 --task digits/mlp"))
    assert [(o["method"], o["seed"], o["status"]) for o in one] == [("static", 1, "done")]
    assert read(resonance("list trials --json --status failed")) == []
    assert "no trial matches" in resonance("list trials --seed 77").err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("list trials --task digits/mpl", ["unknown task 'digits/mpl'", "digits/mlp"]),
        ("list trials --method riggl", ["unknown method 'riggl'", "rigl"]),
        ("list trials --status finished", ["finished", "done, failed, running, missing"]),
        ("list trials --sort accuracy", ["accuracy", "metric"]),
        ("list trials --study mien", ["unknown study 'mien'", "did you mean mine"]),
        ("list trials --store nowhere", ["nowhere", "holds no trials", "--store"]),
        ("list methods --task digits/mlp", ["--task", "list trials"]),
        ("status mien", ["unknown study 'mien'", "mine"]),
        ("leaderboard build --study mien", ["unknown study 'mien'", "mine"]),
        ("compare rigl static --study mien", ["unknown study 'mien'", "mine"]),
        ("submit --out x.jsonl.gz --name me --study mien", ["unknown study 'mien'", "mine"]),
    ],
)
def test_a_name_that_is_none_is_refused_with_the_nearest(resonance, place, line, words):
    before = sorted(place.rglob("*"))
    complaint = resonance(line).complaint
    for word in words:
        assert word in complaint
    assert sorted(place.rglob("*")) == before


def test_an_altered_record_is_listed_as_damaged_not_with_its_figures(resonance, place):
    (path,) = place.glob(f"results/trials/{study_keys(Store('results'), 'mine')[0]}/record.json")
    content = json.loads(path.read_text())
    content["metrics"]["test_accuracy"] = 0.999
    path.write_text(json.dumps(content))
    result = resonance("list trials --json --status damaged")
    (one,) = json.loads(result.out)
    assert (one["key"], one["value"]) == (content["key"], None)
    assert "was altered after it was stored" in result.err


def test_one_trial_is_shown_whole(resonance, place):
    key = read(resonance("list trials --json --method rigl --seed 0"))[0]["key"]
    record = Store("results").read(key)
    shown = resonance("show", key[:10]).out
    for text in (
        key,
        f"{100 * record.metrics['test_accuracy']:.2f} %",
        f"{100 * record.sparsity:.4f} %",
        f"{record.layers[0].zeros:,}",
        "resonance run digits/mlp rigl -s 0.9 --seed 0",
        "record.json",
        record.configuration["task_digest"],
    ):
        assert text in shown
    assert read(resonance("show --json", key)) == record.model_dump(mode="json")


def test_a_prefix_of_several_keys_is_refused_with_them(resonance, place):
    store = Store("results")
    by_digit: dict[str, list[str]] = {}
    for seed in range(40):
        trial = make_trial(seed=seed)
        store.write(trial.key, {"record.json": done(trial).to_json()})
        by_digit.setdefault(trial.key[0], []).append(trial.key)
    digit = max(by_digit, key=lambda one: len(by_digit[one]))  # 40 keys begin with 16 digits
    complaint = resonance("show", digit).complaint
    assert "keys in store results begin so" in complaint
    assert sorted(k for k in store.keys() if k[0] == digit)[0] in complaint  # noqa: SIM118


# ------------------------------------------------------------------ studies by name


def test_a_study_is_known_by_name_without_its_file(resonance, place):
    keys = study_keys(Store("results"), "mine")
    listed = read(resonance("list trials --json --study mine"))
    assert sorted(one["key"] for one in listed) == sorted(keys)
    assert {one["method"] for one in listed} == {"static", "rigl"}
    assert resonance("status mine").out.splitlines()[0] == "study mine: 4 done, 0 failed, 0 to run"
    (row,) = [r for r in read(resonance("list studies --json")) if r["name"] == "mine"]
    assert (row["trials"], row["kind"]) == ("4", "study")
    assert row["question"] == "Is RigL better than fixed masks?"


def test_trials_of_a_study_that_have_not_run_are_listed_as_missing(resonance, place):
    key = study_keys(Store("results"), "mine")[0]
    shutil.rmtree(place / "results" / "trials" / key)
    (one,) = read(resonance("list trials --json --study mine --status missing"))
    assert (one["key"], one["task"], one["recipe"]) == (key, "digits/mlp", {"epochs": 4})
    assert "1 to run" in resonance("status mine").out


def test_an_edited_study_of_the_same_name_replaces_what_is_remembered(resonance, place):
    old = study_keys(Store("results"), "mine")
    (place / "mine.yaml").write_text(STUDY.replace("seeds: 2", "seeds: [1]"))
    assert resonance("study mine.yaml").code == 0
    new = study_keys(Store("results"), "mine")
    assert len(new) == 2
    assert set(new) < set(old)
    # What it no longer names was run for a study, and stays on boards.
    built = read(resonance("leaderboard build --json"))
    counts = [e["cells"][0]["interval"]["n"] for e in built["boards"][0]["entries"]]
    assert counts == [2, 2]


def test_a_plan_alone_remembers_nothing(resonance, place):
    (place / "other.yaml").write_text(STUDY.replace("name: mine", "name: other"))
    assert resonance("study other.yaml --dry-run").code == 0
    assert "unknown study 'other'" in resonance("status other").complaint


# ------------------------------------------------------------------ 22: compare


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("compare rigl rigl", ["A and B are both rigl", "give another for B", "static"]),
        ("compare rigl nosuch", ["unknown method 'nosuch'", "rigl"]),
        ("compare rigl statik", ["unknown method 'statik'", "did you mean static"]),
        ("compare rigl set", ["'set' has no trial", "rigl, static"]),
        ("compare rigl static --task digits/mpl", ["unknown task 'digits/mpl'", "digits/mlp"]),
        ("compare rigl static -s 0.91", ["sparsity 0.91", "0.9"]),
        ("compare rigl static --store nowhere", ["nowhere holds no trials", "--store"]),
        ("compare rigl:update_every=10 rigl", ["update_every=10", "--include-ablations"]),
    ],
)
def test_what_cannot_be_compared_is_one_line_that_helps(resonance, place, line, words):
    complaint = resonance(line).complaint
    for word in words:
        assert word in complaint


def test_methods_of_one_study_are_compared(resonance, place):
    report = read(resonance("compare rigl static --study mine --task digits/mlp -s 0.9 --json"))
    (line,) = report["lines"]
    assert (line["task"].split(" ")[0], line["sparsity"]) == ("digits/mlp", 0.9)
    # Its trials are those of the records, to the last digit.
    records = [Store("results").read(key) for key in study_keys(Store("results"), "mine")]
    means = {
        name: sum(r.metrics["test_accuracy"] for r in records if r.trial["method"] == name) / 2
        for name in ("rigl", "static")
    }
    mean = line["comparison"]["difference"]["mean"]
    assert mean == pytest.approx(means["rigl"] - means["static"], abs=1e-12)


def test_one_method_under_two_settings_may_be_compared(resonance, place):
    line = "compare rigl:update_every=10 rigl:update_every=20 --json"
    assert read(resonance(f"{line} --include-ablations"))["lines"]
    assert read(resonance(f"{line} --study {ablation(resonance)}"))["lines"]


# ------------------------------------------------------------------ 24: boards are of studies


def csv_rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def labels(result: Result) -> list[str]:
    return sorted(e["label"] for board in read(result)["boards"] for e in board["entries"])


def test_levels_of_an_ablation_are_on_its_page_and_on_no_board(resonance, place):
    name = ablation(resonance)
    result = resonance("leaderboard build")
    assert result.code == 0
    assert f"4 trials of ablation {name}" in result.out
    site = place / "site"
    rows = csv_rows(site / "leaderboard.csv")
    assert [(row["method"], row["hyperparameters"], row["n"]) for row in rows] == [
        (row["method"], "", "2") for row in rows
    ]
    assert sorted(row["method"] for row in rows) == ["rigl", "static"]
    trials = csv_rows(site / "trials.csv")
    assert sorted(row["key"] for row in trials) == sorted(study_keys(Store("results"), "mine"))
    for path in (site / "leaderboard.md", *site.glob("tables/*"), *site.glob("tasks/*")):
        assert "update_every=" not in path.read_text(encoding="utf-8"), path
    page = (site / "ablations" / f"{name}.html").read_text(encoding="utf-8")
    assert "update_every=10" in page
    assert f"ablations/{name}.html" in (site / "index.html").read_text(encoding="utf-8")
    # Each level has the page that the ablation's links to, which says where it belongs.
    for key in study_keys(Store("results"), name):
        text = (site / "trials" / f"{key}.html").read_text(encoding="utf-8")
        assert ("boards are of studies" in text) == (key not in {row["key"] for row in trials})


def test_levels_are_shown_where_they_are_asked_for(resonance, place):
    everything = labels(resonance("leaderboard build --json --include-ablations"))
    assert everything == [
        "RigL",
        "RigL (update_every=10)",
        "RigL (update_every=20)",
        "Static random",
    ]
    of_ablation = labels(resonance("leaderboard build --json --study", ablation(resonance)))
    assert of_ablation == ["RigL", "RigL (update_every=10)", "RigL (update_every=20)"]
    assert labels(resonance("leaderboard build --json --study mine")) == ["RigL", "Static random"]


def test_what_was_run_by_hand_before_an_ablation_stays_on_the_boards(resonance, place):
    run = "run digits/mlp rigl --recipe epochs=1 --set update_every=5 --seed"
    for seed in (0, 1):
        assert resonance(run, seed).code == 0
    assert resonance(ABLATE.replace("=10,20", "=5,40")).code == 0
    found = labels(resonance("leaderboard build --json"))
    assert found == ["RigL", "RigL (update_every=5)", "Static random"]


def test_a_submission_is_of_studies(resonance, place):
    def sent(*more: str) -> set[str]:
        result = resonance("submit --name me --out sent.jsonl.gz --json", *more)
        assert read(result)["records"] > 0
        lines = gzip.decompress((place / "sent.jsonl.gz").read_bytes()).splitlines()[1:]
        return {key for line in lines if (key := json.loads(line).get("key"))}

    mine = set(study_keys(Store("results"), "mine"))
    levels = set(study_keys(Store("results"), ablation(resonance)))
    assert sent() == mine
    assert sent("--study", "mine") == mine
    assert sent("--study", ablation(resonance)) == levels
    assert sent("--include-ablations") == mine | levels


def test_a_submission_of_a_group_is_of_all_its_studies_unless_one_is_an_ablation(resonance, place):
    (place / "mine.yaml").write_text(STUDY)
    (place / "group.yaml").write_text("name: g\nquestion: '?'\nstudies: [mine.yaml]\n")
    line = "submit --name me --out sent.jsonl.gz --study group.yaml"
    assert resonance(line).code == 0
    assert len(gzip.decompress((place / "sent.jsonl.gz").read_bytes()).splitlines()) == 1 + len(
        study_keys(Store("results"), "mine")
    )
    (place / "group.yaml").write_text(
        "name: g\nquestion: '?'\nstudies: [mine.yaml, ablate_parts]\n"
    )
    complaint = resonance(line).complaint
    assert "--study group.yaml: its study ablate_parts is an ablation" in complaint
