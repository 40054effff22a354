"""Families of comparisons: what is corrected over, equivalence, and how often they are wrong."""

import itertools

import numpy as np
import pytest
from scipy import stats

from leaderboard.statistics.coverage import KINDS
from leaderboard.statistics.families import (
    FamilyCell,
    against_reference,
    corrected,
    over_tasks,
    wilcoxon_p,
)
from leaderboard.statistics.multiple_comparisons import holm
from leaderboard.statistics.paired_comparisons import Verdict, compare, equivalence_p
from tests.leaderboard.simulated_boards import (
    board,
    collapse_alarm,
    equivalence_alarm,
    rank_alarm,
    reference_alarm,
)

BOARDS = 500
BASE = [0.90, 0.93, 0.91, 0.95, 0.92, 0.94]


def seeds(values) -> dict[int, float]:
    return dict(enumerate(values))


def noisy(random: np.random.Generator, level: float, n: int = 6) -> dict[int, float]:
    return seeds((np.array(BASE[:n]) + random.normal(level, 0.002, n)).tolist())


def cells(rope: float | None = 0.005) -> list[FamilyCell]:
    random = np.random.default_rng(0)
    levels = {"base": 0.0, "better": 0.02, "worse": -0.02, "alike": 0.0, "near": 0.004}
    return [
        FamilyCell("x", s, {m: noisy(random, level) for m, level in levels.items()}, rope)
        for s in (0.8, 0.9)
    ]


def test_all_comparisons_with_the_reference_are_corrected_together():
    found = against_reference(cells(), "base")
    assert (found.reference, found.tested) == ("base", 8)
    raw = [
        stats.ttest_rel(list(cell.scores[m].values()), list(cell.scores["base"].values())).pvalue
        for cell in cells()
        for m in ("better", "worse", "alike", "near")
    ]
    assert [one.p for one in found.claims] == pytest.approx(holm(raw))
    assert [(one.sparsity, one.method) for one in found.claims][:2] == [
        (0.8, "better"), (0.8, "worse")
    ]  # fmt: skip
    verdicts = {one.method: one.verdict for one in found.claims if one.sparsity == 0.9}
    assert verdicts["better"] is Verdict.BETTER
    assert verdicts["worse"] is Verdict.WORSE


def test_a_wider_family_corrects_more():
    (one,) = cells()[:1]
    narrow = against_reference([one], "base").claims
    wide = against_reference([one] * 20, "base").claims
    assert all(b.p >= a.p for a, b in zip(narrow, wide, strict=False))
    assert wide[2].p > narrow[2].p or narrow[2].p == 1.0


def test_who_cannot_decide_is_not_counted():
    (one, other) = cells()
    few = FamilyCell("x", 0.8, {m: dict(list(by.items())[:4]) for m, by in one.scores.items()})
    found = against_reference([few, other], "base")
    assert found.tested == 4
    assert {(c.p, c.verdict) for c in found.claims[:4]} == {(None, Verdict.UNDECIDED)}
    assert [c.p for c in found.claims[4:]] == [
        c.p for c in against_reference([other], "base").claims
    ]
    assert corrected([compare({}, {}), compare({0: 1.0}, {0: 0.5})]) == [None, None]


def test_cells_without_the_reference_are_left_out():
    assert against_reference(cells(), "nobody").claims == []
    lacking = FamilyCell("y", 0.9, {"better": seeds(BASE)})
    assert len(against_reference([*cells(), lacking], "base").claims) == 8


# ------------------------------------------------------------------ equivalence


def test_equivalence_is_that_of_statsmodels():
    from statsmodels.stats.weightstats import ttost_paired  # slow to import

    random = np.random.default_rng(1)
    for _ in range(40):
        n = int(random.integers(2, 12))
        first, second = random.normal(0, 1, (2, n))
        rope = float(random.uniform(0.1, 2))
        expected = ttost_paired(first, second, -rope, rope)[0]
        assert equivalence_p((first - second).tolist(), rope) == pytest.approx(expected)
        lower = stats.ttest_rel(first, second - rope, alternative="greater").pvalue
        upper = stats.ttest_rel(first, second + rope, alternative="less").pvalue
        assert equivalence_p((first - second).tolist(), rope) == pytest.approx(max(lower, upper))
    assert equivalence_p([0.3], 1.0) is None


def test_equal_differences_of_counts_are_no_certainty_of_equivalence():
    step = 1 / 360
    p = equivalence_p([step] * 5, 0.005, step)
    assert p == pytest.approx(stats.t.sf((0.005 - step) / (step / 6**0.5) * 5**0.5, 4))
    assert equivalence_p([0.0] * 5, 0.005) == 0.0
    assert equivalence_p([0.01] * 5, 0.005) == 1.0


def test_verdicts_in_words():
    random = np.random.default_rng(2)
    base = seeds(np.round(random.normal(0.9, 0.01, 8), 4).tolist())

    def verdict(shift: float, noise: float, rope: float | None = 0.005) -> str:
        other = {seed: x + shift + random.normal(0, noise) for seed, x in base.items()}
        one = compare(other, base, rope=rope)
        (p,), alike = corrected([one]), one.equivalence_p
        return one.verdict("A", "B", p=p, equivalence_p=alike, within="0.5 points")

    assert verdict(0.0, 0.001) == "A and B are equivalent within ± 0.5 points"
    assert verdict(0.002, 0.0002) == "A is better than B, by less than 0.5 points"
    assert verdict(-0.02, 0.0002) == "B is better than A"
    assert verdict(0.0, 0.02) == "no difference shown at n = 8"
    assert verdict(0.0, 0.001, None) == "no difference shown at n = 8"


# ------------------------------------------------------------------ over tasks


def test_wilcoxon_is_scipy_s_and_silent_where_nothing_could_be_shown():
    values = [0.3, -0.1, 0.2, 0.5, 0.4, 0.6, 0.7]
    assert wilcoxon_p(values) == pytest.approx(float(stats.wilcoxon(values).pvalue))
    assert wilcoxon_p([0.1] * 5) is None
    assert wilcoxon_p([0.1, 0.2, 0.3, 0.4, 0.5, 0.0]) is None  # a zero is no evidence
    assert wilcoxon_p([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]) == pytest.approx(2 / 2**6)


@pytest.mark.parametrize(
    "differences",
    [
        [0.2, 0.2, -0.2, 0.4, 0.4, 0.6, 0.6],
        [0.1 + 0.2, -0.3, 0.3, 0.5, 0.5, 0.6, -0.1],  # 0.1 + 0.2 is 0.3 but for rounding
        [-0.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1],
        [0.5, -0.4, 0.3, 0.2, 0.1, 0.7, -0.6, 1e-18],
    ],
    ids=["ties", "ties by rounding", "one against many", "a zero by rounding"],
)
def test_wilcoxon_is_exact_with_ties(differences):
    """Against all patterns of signs, which are equally likely under the hypothesis."""
    values = [round(x, 9) for x in differences if round(x, 9)]
    ranks = stats.rankdata(np.abs(values))
    positive = float(ranks[np.asarray(values) > 0].sum())
    sums = [np.dot(signs, ranks) for signs in itertools.product((0, 1), repeat=len(ranks))]
    off = [abs(one - ranks.sum() / 2) for one in sums]
    share = np.mean([one >= abs(positive - ranks.sum() / 2) - 1e-9 for one in off])
    assert wilcoxon_p(differences) == pytest.approx(share, abs=1e-12)


def test_several_methods_over_tasks_are_corrected_together():
    random = np.random.default_rng(3)
    levels = {"base": 0.0, "better": 0.03, "alike": 0.0}
    scores = {m: {f"t{t}": noisy(random, level) for t in range(7)} for m, level in levels.items()}
    better, alike = over_tasks(scores, "base", rope=0.005)
    assert (better.method, better.tasks, better.verdict) == ("better", 7, Verdict.BETTER)
    assert better.p == pytest.approx(2 * better.comparison.p)
    assert better.wilcoxon_p == pytest.approx(2 * 2 / 2**7)
    assert better.signed_rank.right > 0.95
    assert alike.signed_rank.rope > 0.95
    assert alike.verdict is Verdict.NO_DIFFERENCE
    three = {m: {t: by[t] for t in ("t0", "t1", "t2")} for m, by in scores.items()}
    assert over_tasks(three, "base", rope=0.005)[0].signed_rank is None
    assert over_tasks(scores, "base")[0].signed_rank is None


# ------------------------------------------------------------------ how often they are wrong


def at_most(share: float) -> int:
    """Return how many of the boards may be wrong if a share is: 99.9 % of binomial draws."""
    return int(stats.binom.ppf(0.999, BOARDS, share))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_methods_that_are_alike_are_seldom_told_apart(kind):
    random = np.random.default_rng(KINDS.index(kind))
    reference = ranks = 0
    for _ in range(BOARDS):
        drawn = board(random, kind, 5)
        reference += reference_alarm(drawn)
        ranks += rank_alarm(drawn)
    assert reference <= at_most(0.05)
    assert ranks <= at_most(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_difference_as_large_as_the_region_is_seldom_called_equivalent(kind):
    random = np.random.default_rng(10 + KINDS.index(kind))
    assert sum(equivalence_alarm(random, kind, 5) for _ in range(BOARDS)) <= at_most(0.05)


def test_rare_collapse_deceives_as_often_as_the_protocol_says():
    random = np.random.default_rng(20)
    wrong = sum(collapse_alarm(random, 5) for _ in range(BOARDS)) / BOARDS
    # No run of five has collapsed with probability 0.9⁵.
    assert wrong == pytest.approx(0.9**5, abs=0.08)
