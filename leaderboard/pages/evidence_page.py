"""The page of what the project claims of its own method, with every number recomputed.

It is made from the same claims and the same shipped records as docs/evidence.md.
"""

import re

from markupsafe import Markup, escape

from leaderboard.bundles.bundle_file import SHIPPED, SUFFIX
from leaderboard.claims import CheckedNumber, Number, check_claims, load_claims, shipped_records
from leaderboard.output_folder import code_digest, inputs_digest
from leaderboard.pages.evidence import controls_tables, shipped_signals
from leaderboard.pages.navigation import EVIDENCE, PLAIN, Navigation
from leaderboard.pages.templating import site_page
from leaderboard.signal_figures import counts, sentences, summary_table

COLUMNS = ["number", "of", "stated", "recomputed", "corrected over", "verdict"]


def made_from(navigation: Navigation, signals: str, ablation: str) -> str:
    """Return a digest of what the page is made from: computing it takes seconds."""
    files = sorted(SHIPPED[0].glob(f"*{SUFFIX}"))
    content = (SHIPPED[0].parent / "claims.yaml").read_bytes()
    return inputs_digest(
        code_digest(),
        repr(navigation),
        signals,
        ablation,
        content,
        *(path.read_bytes() for path in files),
    )


def evidence_page(signals: str, ablation: str, navigation: Navigation = PLAIN) -> str:
    """Return the page, in the folder of the main page.

    `signals` and `ablation` are the addresses of the pages that show what its last two sections sum
    up; empty where the site has none.

    Raises:
        InvalidInput: shipped records are damaged, or a claim names what they lack.
    """
    checked = check_claims(load_claims(), shipped_records)
    claims = [
        (
            one.claim.question,
            _with_code(one.claim.sentence),
            one.holds,
            [_row(number) for number in one.numbers],
        )
        for one in checked
    ]
    trainings = [
        (group.title, counts(group), sentences(group), summary_table(group))
        for group in shipped_signals()
    ]
    return site_page(
        "evidence.html",
        navigation,
        EVIDENCE,
        here=EVIDENCE.address,
        title="Evidence · leaderboard",
        heading="Evidence",
        claims=claims,
        columns=COLUMNS,
        trainings=trainings,
        controls=controls_tables(),
        signals=signals,
        ablation=ablation,
    )


def _with_code(sentence: str) -> Markup:
    """Return a sentence as markup: names between backticks are code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(sentence))))


def _row(one: CheckedNumber) -> list[str]:
    """Return what one number of a sentence is, and what the records say."""
    number = one.number
    return [
        one.name,
        _of(number),
        number.states,
        number.rounded(one.value),
        f"{one.comparisons:,}" if one.comparisons else "",
        one.problem or "holds",
    ]


def _of(number: Number) -> str:
    """Return what a number is computed from, in words."""
    words = [number.quantity, number.method]
    if number.than:
        words.append(f"against {number.than}")
    if number.task:
        words.append(f"on {number.task}")
    if number.sparsity is not None:
        words.append(f"at {number.sparsity:g}")
    if number.metric:
        over = f"{number.over} of " if number.over != "mean" else ""
        words.append(f"({over}{number.metric})")
    return " ".join(words)
