"""One bad file of a store costs that file: every verb goes on with the rest, and names it."""

import json
import os
from pathlib import Path

import pytest

from suite.experiments.study import Study
from suite.results import ablation_design
from suite.results.ablation_design import ablation_of
from suite.results.compact import compact
from suite.results.merge import merge
from suite.results.metadata_store import load_document, save_document
from suite.results.record_index import FOLDER, write_index
from suite.results.running_file import running_path
from suite.results.running_trials import running_trials
from suite.results.store import Store
from suite.results.stored_evaluation import Evaluation, save_evaluation
from suite.results.stored_studies import remember
from suite.results.verify import verify
from tests.support.sample_records import done, make_trial
from tests.support.sample_studies import study as varied_study

GOOD, BAD = make_trial(seed=0), make_trial(seed=1)
OTHERS = [make_trial("dense", seed=seed) for seed in range(2)]
HUGE = 40 * 2**30


def link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inner").write_text("mine")


def huge(path: Path) -> None:
    os.truncate(path, HUGE)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


def nested(path: Path) -> None:
    path.write_text("[" * 100_000)


def binary(path: Path) -> None:
    path.write_bytes(bytes(range(256)))


DAMAGE = [link, pipe, folder, huge, cut, nested, binary]
FILES = {
    "record": f"trials/{BAD.key}/record.json",
    "tuning": "tuning/bad.json",
    "study": "study/bad.json",
    "ablation": "ablation/bad.json",
    "evaluation": f"evaluations/{BAD.key}-cpu.json",
}


def evaluation_of(key: str) -> Evaluation:
    return Evaluation(
        key=key, model="0" * 64, device="cpu", threads=1, metrics={"test_pgd10": 0.5},
        latency={}, absent={}, timing={}, environment={},
    )  # fmt: skip


def small_study(name: str) -> Study:
    return Study.make(
        name=name, question="?", tasks=["digits/mlp"], methods=["static", "dense"],
        sparsities=[0.9], seeds=2, controls_left_out="small",
    )  # fmt: skip


def fill(store: Store) -> Store:
    """Put two trials of two methods, and two documents of each kind, into a store."""
    store.prepare()
    for trial in (GOOD, BAD, *OTHERS):
        store.write(trial.key, {"record.json": done(trial).to_json()})
    for name in ("good", "bad"):
        study = small_study(name)
        remember(store, study, study.trials_by_key())
        varied = varied_study({"window": [8]}).model_copy(update={"name": name})
        ablation_design.save(store, ablation_of(varied))
        settings = {
            "name": name, "tasks": ["digits/mlp"], "methods": ["rigl"], "sparsities": [0.9],
            "seeds": [1000], "budget": 2,
        }  # fmt: skip
        save_document(store, "tuning", name, {"settings": settings, "methods": {}})
    for trial in (GOOD, BAD):
        save_evaluation(store, evaluation_of(trial.key))
    return store


@pytest.fixture
def filled(store) -> Store:
    return fill(store)


VERBS: dict[str, tuple[int, set[str]]] = {
    "store compact": (1, set(FILES)),
    "store verify": (1, set(FILES)),
    "store merge results other": (1, set(FILES)),
    "store migrate": (1, set(FILES) - {"evaluation"}),
    "status": (0, {"record"}),
    "status good": (0, {"record"}),
    "list trials": (0, {"record"}),
    "list studies": (0, {"study"}),
    f"show {BAD.key}": (0, {"evaluation"}),
    "compare static dense": (0, {"record", "tuning", "ablation", "study"}),
    "leaderboard build --out site": (0, set(FILES)),
    "submit --out a.jsonl.gz --name me": (1, {"record", "tuning", "ablation", "study"}),
    "study good.yaml": (1, {"record"}),
}
"""Each verb, its exit code, and which of `FILES` it reads.

Nothing is submitted: the records are not those of a training.
"""


@pytest.mark.parametrize(
    ("part", "damage"),
    [("record", pipe), ("tuning", link), ("study", folder), ("ablation", huge),
     ("evaluation", nested)],
)  # fmt: skip
def test_a_damaged_file_is_named_by_the_verbs_that_read_it_and_costs_itself(
    resonance, filled, place, part, damage
):
    study = small_study("good").model_dump(mode="json", exclude_defaults=True)
    (place / "good.yaml").write_text(json.dumps(study))
    bad = filled.root / FILES[part]
    damage(bad)
    for verb, (code, reads) in VERBS.items():
        if part not in reads:
            continue
        result = resonance(verb)
        assert result.code == code, (verb, result)
        lines = [line for line in (result.out + result.err).splitlines() if bad.name in line]
        assert any(str(bad.relative_to(place)) in line for line in lines), (verb, result)
        assert "Traceback" not in result.out + result.err
    if part == "evaluation":
        return
    other = Store(place / "other")
    assert set(other.keys()) == set(filled.keys()) - ({BAD.key} if part == "record" else set())
    for kind in ("tuning", "study", "ablation"):
        assert load_document(other, kind, "good") == load_document(filled, kind, "good")
    assert resonance("compare static dense --store other").code == 0


@pytest.mark.parametrize("part", ["tuning", "study", "ablation"])
def test_a_command_that_needs_the_damaged_document_refuses_with_its_name(resonance, filled, part):
    for kind in {"tuning", "study", "ablation"} - {part}:
        (filled.root / kind / "bad.json").unlink()
    pipe(filled.root / FILES[part])
    for verb in ("status bad", "list trials --study bad", "compare static dense --study bad"):
        assert f"results/{FILES[part]} cannot be read" in resonance(verb).complaint


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_merge_mends_what_is_broken_in_the_target_unless_a_folder_is_in_its_place(
    filled, place, damage
):
    other = fill(Store(place / "other"))
    for part in FILES:
        damage(other.root / FILES[part])
    done = merge(filled, other)
    assert done.replaced == [BAD.key]
    names = {FILES[part].removesuffix(".json") for part in FILES if part != "record"}
    if damage is folder:
        paths = {f"{other.root}/{name}.json" for name in names}
        assert {issue.where for issue in done.refused} == paths
        assert {issue.where for issue in verify(other).broken} == paths
    else:
        assert set(done.replaced_documents) == names
        assert verify(other).findings == []
    again = merge(filled, other)
    assert not again.replaced + again.replaced_documents + again.documents + again.evaluations


@pytest.mark.parametrize("damage", [link, pipe, folder, huge, cut, binary])
def test_a_damaged_index_is_passed_and_named(filled, damage):
    write_index(filled.backend)
    (path,) = (filled.root / FOLDER).iterdir()
    damage(path)
    assert len(filled.read_all()[0]) == 4
    (finding,) = verify(filled).findings
    assert finding.where == str(path)
    assert "run `resonance store compact` again" in finding.remedy
    if damage is not folder:
        compact(filled)
        assert verify(filled).findings == []


@pytest.mark.parametrize("damage", [link, pipe, folder, huge, cut, nested, binary])
def test_a_damaged_file_of_a_running_trial_is_passed(filled, damage):
    path = running_path(filled.root, BAD.key)
    path.parent.mkdir()
    path.write_bytes(b"{}")
    damage(path)
    assert running_trials(filled) == []
    filled.prepare()


def test_a_folder_that_is_a_file_is_named_and_costs_its_documents(resonance, filled):
    for path in (filled.root / "study").iterdir():
        path.unlink()
    (filled.root / "study").rmdir()
    (filled.root / "study").write_text("mine")
    for verb, code in (("store verify", 1), ("store compact", 1), ("compare static dense", 0)):
        result = resonance(verb)
        assert result.code == code
        assert "results/study is not a folder: move it out of the store" in result.out + result.err
    assert "study is not a folder" in resonance("status mine").complaint
    assert resonance("status good").code == 0
