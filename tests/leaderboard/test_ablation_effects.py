from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from leaderboard.ablation_effects import DesignEffects, design_effects
from leaderboard.ablation_tables import cell_text, tables
from leaderboard.board_claims import QUOTED_BY_TABLE
from leaderboard.charts.ablation_charts import chart_rows, charts
from leaderboard.charts.pictures import pictures
from leaderboard.pages.ablation_page import ablation_page, named_charts
from leaderboard.site.build import build
from leaderboard.statistics.intervals import Interval
from suite.core.errors import TrialFailed
from suite.experiments import registry
from suite.experiments.study import Study
from suite.experiments.trial_config import Trial
from suite.results.ablation_design import Ablation, ablation_of, save
from suite.results.record import Record, failed
from suite.results.store import Store
from tests.leaderboard.browsing import saved
from tests.leaderboard.pdfs import pdf_text
from tests.support.sample_records import done

ReadRecord = Callable[[str], Record | None]
GRID = {"window": [8, 16], "cooldown": [0, 50]}
WINDOW = {8: -0.02, 16: 0.01}
COOLDOWN = {0: -0.05, 50: 0.03}
NOISE = (0.0, 0.004, -0.002, 0.001, -0.003)
"""Of a seed, the same for all cells: what pairing removes."""


def planted(
    vary: dict[str, Any],
    *,
    grid: bool,
    wobble: float = 0.0,
    together: float = 0.0,
    leave: Callable[[Trial], bool] = lambda trial: False,
) -> tuple[Ablation, ReadRecord]:
    """Return an ablation whose effects are known: sums of both, and `together` where both are low.

    `wobble` differs between seeds and cells; `leave` names trials that do not run.
    """
    method = {"name": "resonance", "vary": vary, "grid": grid}
    study = Study.make(name="planted", question="Is it <b>so</b>?", tasks=["digits/mlp"],
                       methods=[method], sparsities=[0.9], seeds=5)  # fmt: skip
    records = {}
    for trial in study.trials():
        if not leave(trial):
            window = trial.hyperparameters.get("window", 32)
            cooldown = trial.hyperparameters.get("cooldown", "auto")
            score = 0.8 + WINDOW.get(window, 0.0) + COOLDOWN.get(cooldown, 0.0)
            score += NOISE[trial.seed] + (together if (window, cooldown) == (8, 0) else 0.0)
            score += wobble * ((trial.seed * 7 + hash_of(window, cooldown)) % 5 - 2)
            records[trial.key] = done(trial, score)
    return ablation_of(study), records.get


def hash_of(window: int, cooldown: int | str) -> int:
    return window * 3 + (11 if cooldown == "auto" else int(cooldown))


def only(ablation: Ablation, read: ReadRecord) -> DesignEffects:
    (found,) = design_effects(ablation, read)
    return found


def effects(found: DesignEffects) -> dict[str, float]:
    return {
        f"{x.factor}={x.level}": round(x.against_base.comparison.difference.mean, 9)
        for x in found.levels
        if x.against_base is not None and x.against_base.comparison.difference is not None
    }


def test_where_less_is_better_differences_are_of_values_and_verdicts_of_what_is_better(monkeypatch):
    ablation, read = planted(GRID, grid=True, wobble=0.0001, together=0.05)
    better = {x.level: x.against_base for x in only(ablation, read).levels if x.factor == "window"}
    losses = {}
    for cell in ablation.designs[0].cells:
        for key in cell.trials.values():
            losses[key] = found = read(key)
            assert found is not None
            found.metrics["test_nll"] = 1 - found.metrics["test_accuracy"]
    monkeypatch.setitem(registry.tasks()["digits/mlp"].__dict__, "metric", "nll")
    lower = only(ablation, losses.get)
    assert lower.metric.name == "test_nll"
    assert lower.cells[0].mean is not None
    assert lower.cells[0].mean.mean == pytest.approx(0.2, abs=0.001)
    for x in lower.levels:
        if x.factor == "window" and (one := better[x.level]) is not None:
            assert x.against_base is not None
            mine, theirs = x.against_base.comparison.difference, one.comparison.difference
            assert mine is not None
            assert theirs is not None
            assert (mine.mean, mine.low) == pytest.approx((-theirs.mean, -theirs.high))
            assert x.against_base.verdict == one.verdict
            assert "better" in one.verdict
    (both,) = (x for x in lower.interactions if (x.first[1], x.second[1]) == ("8", "0"))
    assert both.effect.comparison.difference is not None
    assert both.effect.comparison.difference.mean == pytest.approx(-0.05, abs=0.001)
    assert both.effect.verdict == "together more than the sum of both"


EXPECTED = {"window=8": -0.02, "window=16": 0.01, "cooldown=0": -0.05, "cooldown=50": 0.03}


@pytest.mark.parametrize("grid", [False, True])
def test_effects_that_add_up_are_found_whether_varied_alone_or_together(grid):
    assert effects(only(*planted(GRID, grid=grid))) == EXPECTED


def test_pairing_removes_what_seeds_have_in_common():
    found = only(*planted(GRID, grid=False))
    (window,) = [x for x in found.levels if (x.factor, x.level) == ("window", "8")]
    assert window.mean is not None
    assert window.mean.half > 0.003
    assert window.against_base is not None
    # All differences are equal: about half of the scores' step, which the seeds cannot exclude.
    assert window.against_base.comparison.difference.half < 0.0006


def test_effects_that_add_up_do_not_interact():
    found = only(*planted(GRID, grid=True))
    assert len(found.interactions) == 4
    for x in found.interactions:
        assert x.effect.comparison.difference.mean == pytest.approx(0, abs=1e-12)
        assert x.effect.verdict == "no interaction shown at n = 5"


def test_a_planted_interaction_is_the_difference_of_differences():
    found = only(*planted(GRID, grid=True, together=0.04, wobble=0.001))
    by_place = {(x.first[1], x.second[1]): x.effect for x in found.interactions}
    planted_here = by_place["8", "0"]
    gap = planted_here.comparison.difference
    assert gap.low < 0.04 < gap.high
    assert planted_here.verdict == "together more than the sum of both"
    for place in (("8", "50"), ("16", "0"), ("16", "50")):
        assert abs(by_place[place].comparison.difference.mean) < 0.01


CONTROLS = {"keep": ["low"], "shuffle": ["fixed", "each"]}


def shuffled(vary: dict[str, Any], *, grid: bool) -> tuple[Ablation, ReadRecord]:
    """Return an ablation in which low frequencies are worth 0.03, and nothing if shuffled."""
    ablation, _ = planted(vary, grid=grid)
    records = {}
    for trial in Study.make(**ablation.study).trials():
        own = trial.hyperparameters.get("shuffle", "none") == "none"
        gain = 0.03 * own * (trial.hyperparameters.get("keep") == "low")
        bend = 0.0005 * (trial.seed % 3) * own
        records[trial.key] = done(trial, 0.8 + NOISE[trial.seed] + gain + bend)
    return ablation, records.get


def test_each_cell_stands_against_its_own_shuffled_controls():
    found = only(*shuffled(CONTROLS, grid=True))
    assert [(x.label, x.control) for x in found.controls] == [
        (f"keep={keep}", control) for keep in ("high", "low") for control in ("fixed", "each")
    ]
    for x in found.controls:
        gap, mine, theirs = x.effect.comparison.difference, x.mean, x.control_mean
        assert gap is not None
        assert mine is not None
        assert theirs is not None
        assert gap.mean == pytest.approx(mine.mean - theirs.mean)
        assert gap.mean == pytest.approx(0.03 * (x.levels["keep"] == "low") + 0.0004, abs=1e-9)
        assert (x.effect.verdict == "the cell is better than its control") == (gap.mean > 0.01)
    (table,) = (t for t in tables([found]) if "against their shuffled controls" in t[0])
    assert [row[0] for row in table[2]] == [
        f"keep={keep}, shuffle={control}"
        for keep in ("high", "low")
        for control in ("fixed", "each")
    ]
    assert table[2][2][1:3] == ["83.04 ± 0.33", "80.00 ± 0.34"]


def test_the_chart_of_controls_shows_what_their_table_says():
    found = only(*shuffled(CONTROLS, grid=True))
    (table,) = (t for t in tables([found]) if "against their shuffled controls" in t[0])
    rows = chart_rows(found)["controls"]
    assert [row["level"] for row in rows] == [line[0] for line in table[2]]
    assert [round(row["mean"], 6) for row in rows] == [
        round(100 * x.effect.comparison.difference.mean, 6) for x in found.controls
    ]
    assert next(iter(charts(found))) == "controls"


def test_the_p_values_of_controls_are_corrected_for_their_number():
    found = only(*shuffled(CONTROLS, grid=True))
    for x in found.controls:
        assert x.effect.p is not None
        assert x.effect.comparison.p is not None
        assert x.effect.p >= min(1.0, x.effect.comparison.p)
    assert max(x.effect.p / x.effect.comparison.p for x in found.controls) > 1.5


@pytest.mark.parametrize(
    ("vary", "grid"), [(CONTROLS, False), ({"shuffle": ["fixed"]}, True), (GRID, True)]
)
def test_a_design_of_one_factor_at_a_time_or_without_controls_has_no_such_table(vary, grid):
    found = only(*shuffled(vary, grid=grid))
    assert not any("shuffled controls" in title for title, _, _ in tables([found]))
    assert chart_rows(found)["controls"] == []
    assert "controls" not in charts(found)


def test_factors_varied_one_at_a_time_show_no_interaction_and_no_heat_map():
    found = only(*planted(GRID, grid=False))
    assert found.interactions == []
    assert set(charts(found)) == {"differences", "main_effects"}


def test_three_seeds_decide_nothing_however_clear_they_are():
    def late(trial: Trial) -> bool:
        return trial.seed >= 3

    found = only(*planted(GRID, grid=True, together=0.04, wobble=0.0001, leave=late))
    verdicts = {x.against_base.verdict for x in found.levels if x.against_base}
    assert verdicts | {x.effect.verdict for x in found.interactions} == {"cannot decide at n = 3"}
    assert min(x.effect.comparison.p for x in found.interactions) < 0.05
    # As on boards: pairs with too few seeds are not corrected over, and have no corrected p.
    assert {x.effect.p for x in found.interactions} == {None}


def test_levels_with_too_few_seeds_are_not_corrected_over():
    """The one rule of families: what cannot decide makes no other claim harder."""

    def late(trial: Trial) -> bool:
        return "window" in trial.hyperparameters and trial.seed >= 3

    ablation, read = planted(GRID, grid=False, wobble=0.004, leave=late)
    found = [x for x in only(ablation, read).levels if x.against_base]
    few = [x for x in found if x.factor == "window"]
    enough = [x for x in found if x.factor != "window"]
    assert {x.against_base.p for x in few} == {None}
    raw = [x.against_base.comparison.p for x in enough]
    assert min(x.against_base.p for x in enough) == pytest.approx(len(enough) * min(raw))


def test_p_values_are_corrected_for_the_number_of_levels():
    found = only(*planted(GRID, grid=False, wobble=0.004))
    raw = [x.against_base.comparison.p for x in found.levels if x.against_base]
    corrected = [x.against_base.p for x in found.levels if x.against_base]
    assert min(corrected) == pytest.approx(4 * min(raw))
    assert all(p >= own for p, own in zip(corrected, raw, strict=True))


def test_what_has_not_run_is_counted_and_not_made_up():
    def late(trial: Trial) -> bool:
        return trial.hyperparameters == {"window": 8} and trial.seed >= 3

    found = only(*planted(GRID, grid=False, leave=late))
    (cell,) = [cell for cell in found.cells if cell.levels["window"] == "8"]
    assert (cell.mean.n, cell.missing, cell.failed) == (3, 2, 0)
    assert cell.against_base.comparison.n == 3
    assert effects(found) == EXPECTED


def test_a_main_effect_counts_the_seeds_that_have_run_in_every_cell():
    def late(trial: Trial) -> bool:
        return trial.hyperparameters == {"window": 8, "cooldown": 0} and trial.seed >= 3

    found = only(*planted(GRID, grid=True, leave=late))
    numbers = {(x.factor, x.level): x.mean.n for x in found.levels}
    assert numbers["window", "8"] == numbers["cooldown", "0"] == 3
    assert numbers["window", "16"] == numbers["cooldown", "50"] == 5
    assert effects(found) == EXPECTED


def test_a_failed_trial_is_no_score():
    ablation, read = planted({"window": [8]}, grid=False)
    bad = Trial.make(task="digits/mlp", method="resonance", sparsity=0.9, seed=1,
                     hyperparameters={"window": 8})  # fmt: skip
    broken = failed(bad, TrialFailed("loss is not finite"))
    found = only(ablation, lambda key: broken if key == bad.key else read(key))
    (cell,) = [cell for cell in found.cells if cell.levels["window"] == "8"]
    assert (cell.mean.n, cell.failed) == (4, 1)


def test_a_training_without_an_update_is_no_score_and_is_counted():
    ablation, read = planted({"window": [8]}, grid=False)

    def idle(key):
        record = read(key)
        windowed = record is not None and record.trial["hyperparameters"].get("window") == 8
        return record.model_copy(update={"no_update": "why"}) if windowed else record

    found = only(ablation, idle)
    (cell,) = [cell for cell in found.cells if cell.levels["window"] == "8"]
    assert (cell.mean, cell.no_update) == (None, 5)
    assert "5 never updated connectivity and do not count" in ablation_page(ablation, idle)


def test_a_training_off_its_budget_is_no_score_and_is_counted():
    ablation, read = planted({"window": [8]}, grid=False)

    def missed(key):
        record = read(key)
        if record is None:
            return None
        factor = 1.05 if record.trial["hyperparameters"].get("window") == 8 else 1.0
        flops = {"training": factor * 300.0, "dense_training": 1000.0}
        recipe = {**record.configuration["recipe"], "flops_budget": 0.3}
        return record.model_copy(
            update={
                "flops": record.flops | flops,
                "configuration": {**record.configuration, "recipe": recipe},
            }
        )

    found = only(ablation, missed)
    off, base = sorted(found.cells, key=lambda cell: cell.levels["window"] != "8")
    assert (off.mean, off.off_budget, off.no_update) == (None, 5, 0)
    assert (base.mean.n, base.off_budget) == (5, 0)
    assert cell_text(found.metric, off) == "– (5 off budget)"
    words = "5 missed their budget of training FLOPs and do not count"
    assert words in ablation_page(ablation, missed)


def test_nothing_is_claimed_without_trials():
    found = only(*planted(GRID, grid=True, leave=lambda trial: True))
    assert {x.against_base.verdict for x in found.levels if x.against_base} == {
        "cannot decide at n = 0"
    }
    assert charts(found) == {}
    assert all("–" in row[1] for _, columns, rows in tables([found]) for row in rows
               if columns[1] == "accuracy")  # fmt: skip


def test_the_heat_map_has_every_cell_once_and_boxes_the_base():
    rows = chart_rows(only(*planted(GRID, grid=True)))["heat"]
    assert len({(row["first"], row["second"]) for row in rows}) == len(rows) == 9
    (base,) = [row for row in rows if row["base"]]
    assert (base["first"], base["second"]) == ("window=32", "cooldown=auto")
    assert base["mean"] == pytest.approx(80.0)


def test_three_factors_have_a_heat_map_for_each_pair_averaged_over_the_third():
    found = only(*planted(GRID | {"taper": ["none"]}, grid=True))
    rows = chart_rows(found)["heat"]
    assert {row["pair"] for row in rows} == {
        "window × cooldown", "window × taper", "cooldown × taper",
    }  # fmt: skip
    assert len(rows) == 9 + 6 + 6
    assert effects(found) == EXPECTED | {"taper=none": 0.0}


def test_interactions_are_drawn_around_zero_as_far_as_the_largest_reaches():
    found = only(*planted(GRID, grid=True, together=0.04, wobble=0.001))
    effects = chart_rows(found)["interaction_effects"]
    largest = max(abs(row["mean"]) for row in effects)
    assert largest == pytest.approx(4, abs=0.5)
    form = charts(found)["interaction_effects"].to_dict()
    (low, high) = next(
        layer["encoding"]["x"]["scale"]["domain"] for layer in form["layer"]
        if "scale" in layer["encoding"]["x"]
    )  # fmt: skip
    assert low == -high == pytest.approx(-1.5 * largest)
    heat = chart_rows(found)["heat"]
    assert {row["change"] for row in heat if row["base"]} == {0}
    colours = charts(found)["heat"].to_dict()["layer"][0]["encoding"]["color"]["scale"]["domain"]
    assert colours == [-colours[2], 0, max(abs(row["change"]) for row in heat)]


def test_intervals_end_where_possible_values_do():
    found = only(*planted(GRID, grid=True))
    wide = [replace(pair, mean=Interval(0.9, -0.2, 1.3, 3)) for pair in found.pairs]
    rows = chart_rows(replace(found, pairs=wide))["heat"]
    assert {(row["low"], row["mean"], row["high"]) for row in rows} == {(0, 90, 100)}


@pytest.mark.slow
def test_the_charts_can_be_drawn():
    drawn = named_charts(design_effects(*planted(GRID, grid=True)))
    assert set(drawn) == {
        "differences",
        "main_effects",
        "heat",
        "interaction",
        "interaction_effects",
    }
    heat = pictures(drawn["heat"])
    assert b"cooldown=50" in heat["svg"]
    assert heat["png"].startswith(b"\x89PNG")
    assert heat["pdf"].startswith(b"%PDF")


def test_the_page_holds_the_figures_and_escapes_what_it_is_told():
    page = ablation_page(*planted(GRID, grid=True, together=0.04, wobble=0.001))
    assert "Is it &lt;b&gt;so&lt;/b&gt;?" in page
    assert "<b>so" not in page
    assert "together more than the sum of both" in page
    assert "window=8 cooldown=0" in page
    assert 'href="../trials/' in page


def test_the_page_says_what_p_values_are_corrected_over_and_which_to_quote():
    page = ablation_page(*planted(GRID, grid=True))
    assert page.count(QUOTED_BY_TABLE) == 1
    for words in (
        "Each table of an ablation is a family by itself",
        "rows with at least 5 common seeds",
        "not over the other tables, tasks and sparsities",
        "In a paper quote those of the tables that were to answer its question",
    ):
        assert words in page


def test_the_page_of_a_run_that_goes_on_says_what_is_missing():
    def later(trial: Trial) -> bool:
        return trial.seed > 0

    page = ablation_page(*planted({"window": [8]}, grid=False, leave=later))
    assert "of 10 trials 8 have not run" in page


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return the site of a store that holds an ablation and its trials."""
    place = tmp_path_factory.mktemp("ablation")
    store = Store(place / "results")
    ablation, read = planted(GRID, grid=True)
    for cell in ablation.designs[0].cells:
        for key in cell.trials.values():
            record = read(key)
            assert record is not None
            store.write(key, {"record.json": record.to_json()})
    save(store, ablation)
    build(store, place / "site")
    return place / "site"


@pytest.mark.slow
def test_a_site_has_the_page_and_the_pictures_of_every_ablation_in_its_store(site):
    page = site / "ablations" / "planted.html"
    assert 'href="ablations/planted.html"' in (site / "index.html").read_text()
    assert "window=8" in page.read_text()
    pictures = {path.name for path in (site / "charts").glob("planted-*")}
    assert len(pictures) == 5 * 3
    assert "planted-heat.svg" in pictures


@pytest.mark.browser
def test_a_browser_draws_the_charts_of_the_page_without_a_network(site, chromium):
    page = chromium.new_page(viewport={"width": 360, "height": 800})
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith(("file:", "data:", "blob:"))
            else faults.append(r.url))  # fmt: skip
    page.goto((site / "ablations" / "planted.html").as_uri())
    page.wait_for_function("document.querySelectorAll('[data-drawn]').length === 5")
    assert "cooldown=50" in page.locator("#chart-heat svg.marks").text_content()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    name, picture = saved(page, page.locator("figure:has(#chart-heat)"), "svg")
    assert name == "heat.svg"
    assert b"cooldown=50" in picture
    link = page.locator("figure:has(#chart-heat) [data-save=pdf]").evaluate("(one) => one.href")
    assert link == (site / "charts" / "planted-heat.pdf").as_uri()
    assert "cooldown=50" in pdf_text((site / "charts" / "planted-heat.pdf").read_bytes())
    assert faults == []
    page.close()
