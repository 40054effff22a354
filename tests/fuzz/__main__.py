"""Read mutated inputs of all kinds; the exit code says whether something was found.

`python -m tests.fuzz --seconds 60`, `--attempts 20000`, `--kind store`, `--replay FILE`.
"""

import argparse
import json
import os
import sys
import tempfile
import warnings
from pathlib import Path

from tests.fuzz.kinds import KINDS, make
from tests.fuzz.runner import run, summary, try_input


def main() -> int:
    """Run the fuzzer; return 1 if there are findings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, help="how long to run; default 60")
    parser.add_argument("--attempts", type=int, help="how many inputs, in place of a time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--kind", action="append", choices=list(KINDS), help="repeatable")
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--replay", type=Path, metavar="FILE", help="a finding in --out")
    given = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="fuzz-cache-") as cache:
        os.environ["RESONANCE_CACHE"] = cache
        return _replay(given.replay) if given.replay else _run(given)


def _run(given: argparse.Namespace) -> int:
    seconds = 60.0 if given.seconds is None and given.attempts is None else given.seconds

    def found(kind: str, number: int, what: str) -> None:
        given.out.mkdir(exist_ok=True)
        content = {"kind": kind, "number": number, "seed": given.seed, "what": what}
        (given.out / f"{kind}-{given.seed}-{number}.json").write_text(json.dumps(content) + "\n")

    tallies = run(given.kind or list(KINDS), given.seed, given.jobs, given.attempts, seconds, found)
    print("\n".join(summary(tallies)))
    findings = sum(len(tally.findings) for tally in tallies.values())
    print(f"{findings} findings" + f", in {given.out}" * bool(findings))
    return 1 if findings else 0


def _replay(file: Path) -> int:
    """Make the input of a finding again (it stays in a folder) and read it."""
    finding = json.loads(file.read_text())
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    make(finding["kind"], finding["number"], finding["seed"], folder)
    print(f"{finding['kind']}: the input is in {folder}")
    what, detail = try_input(finding["kind"], folder)
    print(what, detail)
    return 1 if what == "finding" else 0


if __name__ == "__main__":
    sys.exit(main())
