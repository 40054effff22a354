"""`resonance claims`: recompute every number of the project's claims from its records."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from suite.cli.options import JsonOption
from suite.core.console import print_json, print_table, say


def claims(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A file of claims of your own; see docs/evidence.md."),
    ] = None,
    store: Annotated[
        str,
        typer.Option(help="Folder or URL with the studies to compute from; the shipped results."),
    ] = "",
    json: JsonOption = False,
) -> None:
    """Recompute every number of the claims in the README from the shipped records.

    A claim is a sentence whose numbers say what they are computed from. Exits with 1 if one no
    longer holds: a number does not round to what the sentence says, is beyond its bound, or a
    difference is not shown at 5 %, Holm-corrected over all comparisons with the same reference
    in the records that the number names. The column "corrected over" says how many these are; a
    table of more records corrects over more of them.
    """
    from leaderboard.claims import OWN_CLAIMS, check_claims, load_claims, shipped_records
    from leaderboard.claims import stored_records as of_store
    from suite.results.store import Store

    records = of_store(Store(store)) if store else shipped_records
    checked = check_claims(load_claims(file or OWN_CLAIMS), records)
    if json:
        print_json(
            [
                {
                    "question": one.claim.question,
                    "sentence": one.claim.sentence,
                    "holds": one.holds,
                    "numbers": [asdict(n) | {"number": n.number.model_dump()} for n in one.numbers],
                }
                for one in checked
            ]
        )
    else:
        for one in checked:
            say(f"{one.claim.question} {one.claim.sentence}")
            rows = [
                [
                    n.name,
                    n.number.states,
                    n.number.rounded(n.value),
                    f"{n.comparisons:,}" if n.comparisons else "",
                    n.problem or "holds",
                ]
                for n in one.numbers
            ]
            print_table("", ["number", "stated", "recomputed", "corrected over", ""], rows)
    if not all(one.holds for one in checked):
        raise typer.Exit(1)
