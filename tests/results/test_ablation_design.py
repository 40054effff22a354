"""What an ablation compares, kept beside its trials."""

from typing import Any

import pytest

from suite.core.errors import InvalidInput
from suite.experiments.study import Study, load_study
from suite.results.ablation_design import ablation_of, ablations, save
from suite.results.metadata_store import save_document
from tests.support.sample_studies import READY, study


def test_the_ready_studies_share_the_trials_that_docs_ablation_says():
    window, bits, parts = ({trial.key for trial in load_study(name).trials()} for name in READY)
    assert (len(window), len(bits), len(parts)) == (400, 27, 24)
    assert (len(window & parts), len(window & bits)) == (9, 3)


def test_each_part_of_the_method_is_taken_out_alone():
    (design,) = ablation_of(load_study("ablate_parts")).designs
    base, *others = design.cells
    changed = [{n for n in cell.levels if cell.levels[n] != base.levels[n]} for cell in others]
    assert [len(names) for names in changed] == [1] * 7
    assert set().union(*changed) == {
        "taper", "interpolate", "detrend", "cooldown", "modulation", "accuracy_depth", "shuffle",
    }  # fmt: skip


def test_every_reading_has_its_own_shuffled_control_on_both_tasks():
    digits, fashion = ablation_of(load_study("ablate_reading")).designs
    assert (digits.fixed, fashion.fixed) == ({}, {"epochs": "5"})
    for design in (digits, fashion):
        cells = [cell.levels for cell in design.cells]
        assert len(cells) == 3 * 2 * 2 * 2
        for cell in cells:
            other = "fixed" if cell["shuffle"] == "none" else "none"
            assert cell | {"shuffle": other} in cells


def test_a_design_is_kept_as_it_is(store):
    given = ablation_of(study({"window": [8], "taper": ["none"]}))
    save(store, given)
    assert ablations(store) == ([given], [])
    assert Study.make(**given.study) == study({"window": [8], "taper": ["none"]})


def damaged(**changes: Any) -> dict[str, Any]:
    """Return the document of an ablation with other content in its only design."""
    content = ablation_of(study({"window": [8]})).model_dump(mode="json")
    content["designs"][0] |= changes
    return content


@pytest.mark.parametrize(
    "content",
    [
        {"name": "small"},
        damaged(cells=[]),
        damaged(cells=[{"levels": {"window": "8"}, "trials": {0: "a"}}]),
        damaged(cells=[{"levels": {"window": "32"}, "trials": {}}]),
        damaged(cells=[{"levels": {"window": "32", "taper": "none"}, "trials": {0: "a"}}]),
        damaged(cells=damaged()["designs"][0]["cells"] * 2),
        damaged(factors=damaged()["designs"][0]["factors"] * 2),
        damaged(cells=damaged()["designs"][0]["cells"][:1], grid=True),
        damaged() | {"name": "../../elsewhere"},
    ],
)
def test_a_damaged_document_is_refused_in_one_line(store, content):
    save_document(store, "ablation", "small", content)
    found, (refused,) = ablations(store)
    assert found == []
    assert refused.path == "ablation/small.json"
    assert "delete it and run `resonance ablate` again" in refused.reason
    assert "\n" not in refused.reason


def test_a_study_that_varies_nothing_is_no_ablation():
    with pytest.raises(InvalidInput, match="varies nothing"):
        ablation_of(load_study("quickstart"))
