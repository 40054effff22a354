"""What the generated pages are made of."""

import pytest

from suite.cli.docs_pages import baselines, rule
from suite.experiments import registry
from suite.experiments.presets import preset_of
from suite.experiments.trial_config import show

OF_AUTHORS = [m for m in registry.methods() if m.family != "resonance" and m.name != "dense"]


@pytest.mark.parametrize("method", OF_AUTHORS, ids=lambda method: method.name)
def test_a_difference_states_the_default_that_the_method_has(method):
    defaults = {p.name: show(p.default) or "none" for p in method.hyperparameters}
    for one in method.differences:
        if one.setting in defaults:
            assert one.here.startswith(defaults[one.setting])
            assert not one.authors.startswith(one.here)


def test_the_page_has_one_row_for_every_difference_and_marks_hyperparameters_as_code():
    page = baselines()
    table = page.partition("## Differences from the authors' code")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| `")]
    assert len(rows) == sum(len(method.differences) for method in OF_AUTHORS)
    assert ["| `snip`", "`batch_size`", "128", "100"] in [row[:4] for row in rows]
    assert ["| `snip`", "biases"] in [row[:2] for row in rows]


def test_presets_say_of_which_method_and_what_differs():
    methods = registry.methods()
    presets = {m.name: base.name for m in methods if (base := preset_of(m))}
    assert presets == {"gse": "rigl", "rigl_itop": "rigl", "set_itop": "set"}
    assert "A preset of `rigl`, which it differs from by `candidate_ratio=1.0`. " in rule(
        methods["gse"]
    )
    text = rule(methods["set_itop"])
    assert text.startswith("SET with long intervals")
    assert "`drop_rule=magnitude`" in text
    assert "`intervals=65`" in text
    assert rule(methods["set"]) in text
