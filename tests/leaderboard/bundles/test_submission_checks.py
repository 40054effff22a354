"""What is sent in is checked, and what is hostile in it neither runs nor hides the rest."""

import gzip
import json
import zlib
from pathlib import Path

import pytest

from leaderboard.bundles import bundle_file
from leaderboard.bundles.bundle_file import (
    Bundle,
    Header,
    Rejected,
    read_bundle,
    read_folder,
    write_bundle,
)
from leaderboard.bundles.check_report import CheckReport, Compared, SubmissionIssue
from leaderboard.bundles.submission_checks import check_bundle, compare_rerun
from suite.core.errors import InvalidInput
from suite.results.record import Record
from suite.results.record_check import (
    COUNTED,
    DATA,
    READABLE,
    RERUN,
    TRAINING,
    Check,
    Recomputed,
)
from suite.results.store import Store
from tests.leaderboard.sample_bundles import (
    HEADER,
    content,
    errors,
    forged,
    issues,
    packed,
    paired,
    sample,
)
from tests.support.sample_records import done, done_real, make_trial, with_counts

# ---------------------------------------------------------------- the file


def test_a_bundle_is_read_as_it_was_written_and_the_same_bytes_again(tmp_path):
    records = paired("static", "rigl", seeds=2)
    first, second = tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl.gz"
    write_bundle(records, HEADER, first)
    write_bundle(reversed(records), HEADER, second)
    assert first.read_bytes() == second.read_bytes()
    header, read, rejected = read_bundle(first)[:3]
    assert header == HEADER
    assert [r.key for r in read] == sorted(r.key for r in records)
    assert {r.key: r.integrity for r in read} == {r.key: r.integrity for r in records}
    assert rejected == []
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl.gz", "b.jsonl.gz"]


def test_a_record_in_a_bundle_has_the_checksums_that_it_has_in_the_store(tmp_path):
    store, trial = Store(tmp_path / "results"), make_trial()
    store.prepare()
    record = with_counts(done(trial))
    store.write(trial.key, {"record.json": record.to_json(), "curves.parquet": b"PAR1"})
    write_bundle(store.records(), HEADER, tmp_path / "a.jsonl.gz")
    (record,) = read_bundle(tmp_path / "a.jsonl.gz").records
    assert record.integrity == next(store.records()).integrity


def test_keys_of_this_machine_are_not_sent(tmp_path, monkeypatch):
    secret = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"
    record = forged(sample(), notes=[f"read with {secret}"])
    monkeypatch.setenv("WANDB_API_KEY", secret)
    write_bundle([record], Header.make(name="me", note=secret), tmp_path / "a.jsonl.gz")
    assert secret.encode() not in gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes())
    bundle = read_bundle(tmp_path / "a.jsonl.gz")
    assert bundle.header.note == "[secret]"
    assert bundle.records[0].notes == ["read with [secret]"]
    assert errors(*bundle.records) == []


@pytest.mark.parametrize("link", ["javascript:alert(1)", "https://a b", 'https://a"onclick=x', "x"])
def test_a_link_is_an_address_and_nothing_else(link):
    with pytest.raises(InvalidInput, match="link"):
        Header.make(name="me", link=link)


@pytest.mark.parametrize(
    "given", [{"name": ""}, {"name": "a\nb"}, {"name": "n", "note": "x" * 9999}]
)
def test_a_header_is_short_lines(given):
    with pytest.raises(InvalidInput):
        Header.make(**given)


@pytest.mark.parametrize("letter", "\u200b\u202e\x9b\xad\ufeff\u2029\ue000\u3164\U000e0041")
@pytest.mark.parametrize("field", ["name", "note"])
def test_a_sender_has_no_character_that_cannot_be_seen(field, letter):
    with pytest.raises(InvalidInput, match=f"U.{ord(letter):04X}, which cannot be seen"):
        Header.make(**{"name": "Alice", field: f"Ali{letter}ce"})


def test_spaces_around_a_name_are_no_part_of_it():
    assert Header.make(name=" Alice\u2003").name == "Alice"
    with pytest.raises(InvalidInput):
        Header.make(name="  ")


HIDDEN = "a\x1b[31m\u202eb\n"


@pytest.mark.parametrize(
    "changes",
    [
        {"notes": [HIDDEN]},
        {"absent": {HIDDEN: "why"}},
        {"absent": {"ece": HIDDEN}},
        {"timing": {"started": HIDDEN}},
        {"timing": {HIDDEN: 1.0}},
        {"digests": {"model": HIDDEN}},
        {"error": {"type": "E", "message": HIDDEN}, "status": "failed"},
        {"layers": [{"name": HIDDEN, "shape": [2, 2], "zeros": 1, "flops": 8.0}]},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_record_with_hidden_characters_is_read_from_a_store_and_refused_in_a_bundle(
    tmp_path, changes
):
    record = forged(sample(), **changes)
    bundle = read_bundle(packed(tmp_path / "a.jsonl.gz", content(record)), possible=False)
    (rejected,) = bundle.rejected
    assert "control or invisible characters" in rejected.reason
    assert f"'{next(iter(changes))}'" in rejected.reason
    write_bundle([record], HEADER, tmp_path / "b.jsonl.gz")
    own = read_bundle(tmp_path / "b.jsonl.gz", possible=False)
    assert [one.key for one in own.records] == [record.key]


# ---------------------------------------------------------------- hostile files


def deep(levels: int) -> dict[str, object]:
    found: dict[str, object] = {}
    for _ in range(levels):
        found = {"x": found}
    return found


TRIAL = make_trial().model_dump(mode="json")
HOSTILE = {
    "script": ({"trial": TRIAL | {"method": "<script>alert(1)</script>"}}, "name"),
    "attribute": ({"trial": TRIAL | {"task": 'x"onmouseover="alert(1)'}}, "name"),
    "path": ({"trial": TRIAL | {"task": "../../x"}}, "name"),
    "absolute path": ({"trial": TRIAL | {"method": "/etc/passwd"}}, "name"),
    "escape sequence": ({"trial": TRIAL | {"method": "a\x1b[2J"}}, "cannot be shown"),
    "key": ({"key": "../../../../etc/x"}, "key"),
    "long text": ({"notes": ["x" * 10_000]}, "notes"),
    "long setting": ({"configuration": {"x": "x" * 10_000}}, "10000 characters"),
    "endless text": ({"notes": ["x" * 10_000_000]}, "longer than 1 MiB"),
    "deep": ({"environment": deep(100)}, "levels deep"),
    "very deep": ({"environment": deep(400)}, "levels deep"),
    "list for settings": ({"trial": TRIAL | {"recipe": []}}, "recipe"),
    "text for a sparsity": ({"trial": TRIAL | {"sparsity": "0.9"}}, "sparsity"),
    "text for a metric": ({"metrics": {"test_accuracy": "high"}}, "metrics"),
    "more zeros than weights": (
        {"layers": [{"name": "1", "shape": [2, 2], "zeros": 5, "flops": 1}]}, "cannot be zero"),
    "monstrous shape": (
        {"layers": [{"name": "1", "shape": [10**300], "zeros": 0, "flops": 1}]}, "shape"),
    "too large a number": ({"data": {"train": 10**400}}, "number"),
    "unknown field": ({"unknown": 1}, "unknown"),
    "no object": (None, ""),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_record_is_listed_with_its_reason_and_hides_no_other(tmp_path, kind):
    changes, reason = HOSTILE[kind]
    bad = [1, 2] if changes is None else content(sample(seed=1), **changes)
    bundle = read_bundle(packed(tmp_path / "a.jsonl.gz", bad, content(sample(seed=0))))
    assert [record.trial["seed"] for record in bundle.records] == [0]
    ((where, said),) = bundle.rejected
    assert where == "line 2"
    assert reason in said
    assert len(said) < 400
    (issue,) = [
        f
        for f in check_bundle(bundle, lambda record: Recomputed(1)).issues
        if f.severity == "error"
    ]
    assert issue.what == said


@pytest.mark.parametrize("text", [
    json.dumps(content(sample())).replace("0.9,", "NaN,", 1),
    json.dumps(content(sample())).replace('"test_nll": 0.3', '"test_nll": 1e999'),
    json.dumps(content(sample())).replace('"2.11"', '"\\ud800"'),
    json.dumps(content(sample())).replace('"2.11"', '"altered"'),
    json.dumps(content(sample()))[:-40], "[" * 100_000, "{}", "null", "\x00", "",
])  # fmt: skip
def test_a_line_that_is_no_sound_record_is_rejected(tmp_path, text):
    bundle = read_bundle(packed(tmp_path / "a.jsonl.gz", text, content(sample(seed=1))))
    assert [record.trial["seed"] for record in bundle.records] == [1]
    assert [where for where, _ in bundle.rejected] == ["line 2"]


def test_a_second_record_of_a_trial_is_rejected(tmp_path):
    twice = [content(sample()), content(sample(), metrics={"test_accuracy": 1.0}, counts={})]
    bundle = read_bundle(packed(tmp_path / "a.jsonl.gz", *twice))
    assert bundle.records[0].metrics["test_accuracy"] == 0.9
    assert [r.reason for r in bundle.rejected] == [f"a second record of trial {sample().key}"]


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle_file, "MAX_UNPACKED", 2**22)
    lines = [json.dumps(HEADER.model_dump()), json.dumps(content(sample())), "x" * 2**24]
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    bundle = read_bundle(path)
    assert len(bundle.records) == 1
    assert "holds more than 4 MiB" in bundle.rejected[0].reason


def test_a_file_that_is_cut_off_is_read_up_to_there(tmp_path):
    path = packed(tmp_path / "a.jsonl.gz", content(sample()), *["x" * 5000] * 100)
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    bundle = read_bundle(path)
    assert len(bundle.records) == 1
    assert bundle.rejected[-1].reason == "the file is damaged from here on"


@pytest.mark.parametrize("data", [
    b"", b"no gzip", gzip.compress(b""), gzip.compress(b"x" * 2**22), zlib.compress(b"{}"),
    gzip.compress(b"[1]\n"), gzip.compress(b'{"schema_version": 1, "name": ["x"]}\n'),
    gzip.compress(b'{"schema_version": 99}\n'), gzip.compress(b"[" * 100_000),
], ids=range(9))  # fmt: skip
def test_what_is_no_submission_is_refused_in_one_line(tmp_path, data):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(data)
    with pytest.raises(InvalidInput) as refused:
        read_bundle(path)
    assert "\n" not in str(refused.value)


def test_one_bad_file_in_a_folder_hides_no_other(tmp_path):
    write_bundle([sample()], HEADER, tmp_path / "good.jsonl.gz")
    (tmp_path / "bad.jsonl.gz").write_bytes(b"?")
    packed(tmp_path / "half.jsonl.gz", "?", content(sample(seed=1)))
    (tmp_path / "link.jsonl.gz").symlink_to(tmp_path / "good.jsonl.gz")
    bundles, rejected = read_folder(tmp_path)
    assert {name: len(b.records) for name, b in bundles.items()} == {
        "good.jsonl.gz": 1, "half.jsonl.gz": 1,
    }  # fmt: skip
    assert [r.where for r in rejected] == ["bad.jsonl.gz", "half.jsonl.gz, line 2", "link.jsonl.gz"]


# ---------------------------------------------------------------- what is wrong with records


def test_sound_paired_records_have_no_findings():
    assert issues(*paired("static", "rigl")) == []


def test_a_key_that_is_not_the_hash_of_the_configuration_is_an_error():
    assert any("not the hash" in what for what in errors(forged(sample(), key="0" * 16)))


def test_a_record_of_an_older_revision_is_an_error():
    old = sample().configuration | {"method_revision": 0}
    assert any("method_revision is" in what for what in errors(forged(sample(), configuration=old)))


def test_a_configuration_may_lack_settings_that_were_declared_after_it_was_made():
    record = sample()
    recipe = dict(record.configuration["recipe"])
    del recipe["max_steps"]
    older = record.configuration | {"recipe": recipe}
    assert errors(forged(record, configuration=older)) == []
    missing = {**record.trial["recipe"], "max_steps": 5}
    given = forged(record, trial=record.trial | {"recipe": missing}, configuration=older)
    assert any("max_steps" in what for what in errors(given))


def test_a_configuration_that_is_not_what_the_settings_say_is_an_error():
    record = sample()
    recipe = record.configuration["recipe"] | {"epochs": 999}
    found = errors(forged(record, configuration=record.configuration | {"recipe": recipe}))
    assert any("epochs=999" in what for what in found)


def test_what_cannot_be_recomputed_is_a_warning_and_what_differs_an_error():
    def unknown(record: Record) -> Recomputed:
        raise InvalidInput("unknown method")

    records = paired("static")
    found = check_bundle(Bundle(HEADER, records, []), unknown).issues
    assert [f.severity for f in found] == ["warning"] * len(records)
    assert [f.severity for f in issues(*records, problems=("off",))] == ["error"] * len(records)


def test_other_seeds_for_one_method_are_told_and_none_in_common_is_an_error():
    (found,) = issues(*paired("static"), *paired("rigl")[:-1], sample("rigl", 5))[:1]
    assert found.severity == "warning"
    (wrong,) = errors(*paired("static"), *[sample("rigl", seed) for seed in range(5, 10)])[:1]
    assert "share none" in wrong


def test_fewer_than_five_seeds_are_a_warning():
    (found,) = issues(*paired("static", "rigl", seeds=3))
    assert (found.severity, found.where) == ("warning", "digits/mlp")
    assert "2 of 2 cells have fewer than 5 seeds" in found.what


def test_another_recipe_for_one_method_is_told():
    other = [sample("rigl", seed, recipe={"epochs": 3}) for seed in range(5)]
    (found,) = issues(*paired("static"), *other)
    assert "several recipes" in found.what
    assert "epochs=3" in found.what


def test_seeds_of_two_recipes_are_told_apart():
    others = [
        sample(method, seed, recipe={"epochs": 3})
        for method in ("static", "rigl")
        for seed in (0, 1)
    ]
    found = issues(*paired("static", "rigl", seeds=3), *others)
    few = {one.where: one.what for one in found if "fewer than 5 seeds" in one.what}
    assert few.keys() == {"digits/mlp", "digits/mlp (epochs=3)"}
    assert "as few as 2" in few["digits/mlp (epochs=3)"]


def test_records_that_are_on_no_board_are_told():
    idle = [
        one.model_copy(update={"no_update": "no update falls into these 40 steps"})
        for one in paired("set")
    ]
    found = issues(*paired("static", "rigl"), *idle)
    (told,) = [one for one in found if "on no board" in one.what]
    assert told.severity == "warning"
    assert told.where == f"5 records, {idle[0].key} the first"
    assert told.what == "on no board: no update falls into these 40 steps"
    assert not [one for one in issues(*paired("static", "rigl")) if "on no board" in one.what]


def test_who_trains_longer_is_shown():
    records = paired("static", "rigl")
    steps = {"static": 10, "rigl": 50}
    bundle = Bundle(HEADER, records, [])
    (found,) = check_bundle(bundle, lambda r: Recomputed(steps[r.trial["method"]])).issues
    assert (found.severity, found.what) == (
        "note",
        "trains 50 steps, 5 times as many as the shortest here",
    )


def test_who_trains_longer_within_the_same_budget_is_not():
    budget = {"recipe": {"flops_budget": 0.3}}
    records = [sample(method, seed, **budget) for method in ("static", "rigl") for seed in range(5)]
    steps = {"static": 10, "rigl": 50}
    bundle = Bundle(HEADER, records, [])
    found = check_bundle(bundle, lambda r: Recomputed(steps[r.trial["method"]])).issues
    assert "shortest here" not in " ".join(issue.what for issue in found)


def test_weights_copied_to_another_seed_are_an_error():
    records = paired("static")
    copied = forged(records[1], digests=records[0].digests)
    assert len(errors(*records[:1], copied, *records[2:])) == 1


def test_weights_of_another_method_with_other_zeros_are_an_error():
    static, rigl = sample("static"), sample("rigl")
    same = forged(rigl, digests=static.digests)
    layers = [static.layers[0].model_dump() | {"zeros": 901}]
    assert errors(static, same) == []
    assert "its weights are those of" in errors(static, forged(same, layers=layers))[0]


def test_the_test_targets_of_all_records_of_the_same_data_are_the_same():
    one, two, three = paired("static", seeds=3)
    counts = three.counts["test"]
    moved = counts.model_copy(update={"confusion": ("0:300", "0:24 1:24 2:12", *[""] * 8)})
    other = forged(
        three,
        counts={"test": moved.model_dump()},
    )
    (what,) = errors(one, two, other)
    assert "300 test examples of class 0, 360 in trial" in what

    trial = make_trial(task="diabetes/mlp", sparsity=0.9)
    real = forged(done_real(trial, 0.5, 50.0))
    same = done_real(make_trial(task="diabetes/mlp", sparsity=0.9, seed=1), 0.5, 50.0)
    same = forged(same, digests={"model": "1" * 64})
    assert not any("variance" in what for what in errors(real, same))
    other = forged(same, metrics=same.metrics | {"test_rmse": 500.0})
    assert any("variance 500000, 5000 in trial" in what for what in errors(real, other))


# ---------------------------------------------------------------- what was compared


def test_a_report_says_what_was_compared_and_crosses_a_process_as_json():
    records = [*paired("static", "rigl"), sample("dense")]
    wrong = forged(records[0], data=records[0].data | {"checksum": "0" * 64})
    unusable = Rejected("line 9", "no record")

    def recomputed(record: Record) -> Recomputed:
        if record.trial["method"] == "dense":
            raise InvalidInput("unknown method " + "x" * 400)
        return Recomputed(10, (Check(TRAINING, how="exact"),))

    bundle = Bundle(HEADER, [wrong, *records[1:]], [unusable])
    report = check_bundle(bundle, recomputed)
    rows = {row.check: row for row in report.compared}
    assert (rows[READABLE].passed, rows[READABLE].wrong) == ({"": 11}, 1)
    assert (rows[DATA].passed, rows[DATA].wrong) == ({"with checksum": 10}, 1)
    assert rows[COUNTED].passed == {"with counts": 11}
    assert rows[TRAINING].passed == {"exact": 10}
    assert list(rows[TRAINING].skipped.values()) == [1]
    assert rows[RERUN].skipped == {"not asked for (--rerun)": 11}
    assert CheckReport.from_json(json.loads(json.dumps(report.to_json()))) == report
    signed = report.with_row(Compared("signature", {"by a known signer": 11}))
    assert [row.check for row in signed.compared] == [*rows, "signature"]


def test_issues_that_say_the_same_are_one_line_with_their_number():
    long = "cannot be checked here: " + "x" * 400
    report = CheckReport.of([SubmissionIssue("warning", str(n), long) for n in range(120)], [])
    (line,) = report.grouped()
    assert str(line) == f"warning: 0 and 119 more: {long}"
    assert len(report.to_json()["findings"]) == 120


def test_a_rerun_is_compared_example_by_example():
    record = sample()
    bits = bytes([255] * 40 + [240] + [0] * 4)
    (same,) = compare_rerun(record, record, (bits, bits))
    assert same.severity == "note"
    assert "every test prediction" in same.what
    found = compare_rerun(record, record, (bits, bytes([127, *bits[1:]])))
    assert [issue.severity for issue in found] == ["error", "error"]
    assert "1 of 360 test predictions are right in one run only" in found[1].what
    assert "cannot be compared" in compare_rerun(record, record, (bits, b""))[1].what


# ---------------------------------------------------------------- recomputing and running again


@pytest.fixture
def sent(resonance, place):
    """Return a trial's record as `resonance run` leaves it, and the file that submits it."""
    assert resonance("run digits/mlp rigl -s 0.9 --recipe epochs=2").code == 0
    result = resonance("submit --name me --out mine.jsonl.gz")
    assert result.code == 0, result.out + result.err
    assert "pull request" in result.out
    return next(Store(place / "results").records())


def test_zeros_layers_and_operations_are_recomputed_from_the_configuration(sent):
    from suite.training.verify_record import recompute

    assert recompute(sent).problems == []
    layers = [layer.model_dump() for layer in sent.layers]

    def changed(**values: object) -> list[str]:
        return recompute(forged(sent, layers=[layers[0] | values, *layers[1:]])).problems

    assert any("zeros, not" in p for p in changed(zeros=layers[0]["zeros"] - 2))
    assert not any("zeros, not" in p for p in changed(zeros=layers[0]["zeros"] - 1))
    assert any("FLOPs, not" in p for p in changed(flops=1.0))
    assert any("not those of digits/mlp" in p for p in changed(shape=[1, 40_000]))
    for name in ("inference", "training"):
        flops = sent.flops | {name: sent.flops[name] / 2}
        assert any(name in p for p in recompute(forged(sent, flops=flops)).problems)


def test_a_trial_that_is_run_again_ends_bit_by_bit_alike(resonance, sent):
    result = resonance("leaderboard check mine.jsonl.gz --rerun any")
    assert result.code == 0
    assert "run again here: equal" in result.out


def test_a_report_counts_the_trials_that_were_run_again():
    records = paired("static", "rigl")
    changed = forged(records[1], digests={**records[1].digests, "model": "0" * 64})
    elsewhere = forged(changed, environment={**records[1].environment, "torch": "1.0"})
    compared = [
        compare_rerun(records[0], records[0]),
        compare_rerun(changed, records[1]),
        compare_rerun(elsewhere, records[1]),
    ]
    report = check_bundle(Bundle(HEADER, records, []), lambda record: Recomputed(1))
    row = {one.check: one for one in report.with_reruns(compared, len(records)).compared}[RERUN]
    assert row.passed == {"equal": 1, "different, made elsewhere": 1}
    assert row.wrong == 1
    assert row.skipped == {"not chosen": len(records) - 3}


def test_a_rerun_is_compared_on_every_example_if_predictions_were_sent(resonance, sent):
    assert resonance("submit --name me --out with.jsonl.gz --predictions").code == 0
    assert read_bundle(Path("with.jsonl.gz")).predictions.keys() == {sent.key}
    result = resonance("leaderboard check with.jsonl.gz --rerun any")
    assert result.code == 0
    assert "bit by bit, and every test prediction" in result.out


def test_a_figure_that_was_made_up_is_found_by_running_again(resonance, sent):
    better = forged(sent, metrics=sent.metrics | {"test_nll": 0.99 * sent.metrics["test_nll"]})
    write_bundle([better], HEADER, Path("better.jsonl.gz"))
    assert resonance("leaderboard check better.jsonl.gz").code == 0
    result = resonance("leaderboard check better.jsonl.gz --rerun", sent.key[:6], "--json")
    assert result.code == 1
    found = [f for f in json.loads(result.out)["findings"] if f["severity"] == "error"]
    assert "on a machine of the same kind" in found[0]["what"]
    assert found[1]["what"].startswith("test_nll ")


def test_other_versions_excuse_a_difference():
    record = sample()
    other = {"metrics": {"test_accuracy": 0.8}, "counts": {}, "environment": {"torch": "9.9"}}
    again = forged(record, **other)
    found = compare_rerun(record, again)
    assert {f.severity for f in found} == {"warning"}
    assert "torch '2.11', here '9.9'" in found[0].what


def test_what_has_errors_is_not_written(resonance, store):
    wrong = done(make_trial())  # its layers are not those of the task
    store.write(wrong.key, {"record.json": wrong.to_json()})
    result = resonance("submit --name me --out mine.jsonl.gz")
    assert result.code == 1
    assert "the layers are not those of digits/mlp" in result.out
    assert not Path("mine.jsonl.gz").exists()


@pytest.mark.parametrize("line", [
    "submit --name me --out mine.zip", "submit --name me --out x.jsonl.gz --task digits/mlq",
    "submit --name me --out x.jsonl.gz", "leaderboard check nowhere.jsonl.gz",
])  # fmt: skip
def test_what_cannot_be_sent_or_checked_is_refused_in_one_line(resonance, line):
    assert resonance(line).complaint


def test_options_that_were_added_later_are_at_their_defaults_in_older_records():
    record = sample("rigl")
    recipe = dict(record.configuration["recipe"])
    assert recipe.pop("max_steps") == 0
    older = forged(record, configuration=record.configuration | {"recipe": recipe})
    assert errors(older) == []
    recipe["warmup"] = 0.5
    wrong = forged(record, configuration=record.configuration | {"recipe": recipe})
    assert any("recipe: warmup=0.5, its settings give 0.0" in one for one in errors(wrong))


def test_no_update_and_churn_contradict_each_other():
    record = sample("rigl")
    idle = forged(record, no_update="none", metrics=record.metrics | {"mask_churn": 0.2})
    assert any("never updated, and mask_churn was measured" in one for one in errors(idle))
