"""How often 95 % intervals contain what they estimate, by simulation; shown beside the intervals.

`python -m tests.leaderboard.simulated_boards` prints `COVERAGE`; a test simulates it again with
fewer boards. Scores are simulated as normal, as accuracies counted on 360 examples, as heavy-tailed
(Student's t with 2.5 degrees of freedom), and as collapsing: one run in ten ends at chance.
"""

from collections.abc import Mapping
from dataclasses import dataclass

KINDS = ("normal", "counts", "heavy-tailed", "collapsing")
"""How scores are distributed."""

COVERAGE: Mapping[str, Mapping[int, tuple[float, float, float, float]]] = {
    "mean": {
        5: (0.957, 0.945, 0.970, 0.415),
        10: (0.953, 0.950, 0.951, 0.660),
    },
    "difference in a cell": {
        5: (0.948, 0.944, 0.970, 0.984),
        10: (0.956, 0.948, 0.955, 0.983),
    },
    "difference over tasks": {
        5: (0.952, 0.957, 0.956, 0.940),
        10: (0.950, 0.945, 0.945, 0.951),
    },
    "interquartile mean": {
        5: (0.953, 0.957, 0.957, 0.957),
        10: (0.953, 0.959, 0.951, 0.952),
    },
    "probability of improvement": {
        5: (0.963, 0.959, 0.948, 0.941),
        10: (0.964, 0.962, 0.944, 0.944),
    },
    "performance profile": {
        5: (0.963, 0.935, 0.951, 0.947),
        10: (0.944, 0.947, 0.953, 0.953),
    },
    "rating": {
        5: (0.932, 0.937, 0.932, 0.935),
        10: (0.948, 0.946, 0.945, 0.944),
    },
    "mean rank (expected)": {
        5: (0.965, 0.973, 0.978, 0.929),
        10: (0.969, 0.968, 0.979, 0.934),
    },
    "mean rank (by true means)": {
        5: (0.881, 0.856, 0.736, 0.612),
        10: (0.970, 0.963, 0.835, 0.506),
    },
}
"""Kind of interval → number of seeds (of ratings: of tasks) → coverage, by the names of `KINDS`.

That of a mean rank is for the rank expected over other seeds; how often it contains the rank by
true means is stated beside it, for methods of which each is half a standard deviation of a run
better than the next.
"""


@dataclass(frozen=True)
class CoverageTable:
    """`COVERAGE` for readers: what it shows, heads of columns, and rows of texts."""

    text: str
    columns: list[str]
    rows: list[list[str]]


def _table() -> CoverageTable:
    rows = [
        [f"{kind}, {n} {'tasks' if kind == 'rating' else 'seeds'}"]
        + [f"{100 * share:.0f}" for share in shares]
        for kind, by_number in COVERAGE.items()
        for n, shares in by_number.items()
    ]
    text = (
        "Coverage of 95 % intervals in simulations, in %: of normal scores, of accuracies counted "
        "on 360 test examples, of heavy-tailed scores (Student's t with 2.5 degrees of freedom), "
        "and of scores of which one in ten is at chance. Five tasks, where an interval is over "
        "tasks; five seeds for ratings. The interval of a mean says nothing about runs that "
        "collapse as rarely as that: five seeds mostly show none. The interval of a mean rank is "
        "for the rank that is expected over other seeds, not for the true order of methods that "
        "are close: of six methods, each half a standard deviation of a run better than the next, "
        "it contains the rank by true means less often than 95 %."
    )
    return CoverageTable(text, ["interval", *KINDS], rows)


COVERAGE_TABLE = _table()
