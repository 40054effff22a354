"""Check the bundles that a pull request adds or changes; write a report, and the request's number.

    python check_submissions.py BASE OUT

BASE is the commit that the request would be merged into. OUT is a folder for `report.txt` and
`number`, which is the variable PR_NUMBER. The exit code is 1 if a bundle has an error. It runs in a
job without secrets and without rights to write; `comment_on_submission.py` reads what it wrote.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUNDLES = "leaderboard/submissions/*.jsonl.gz"
LONGEST_REPORT = 50_000
"""Characters of a file's report; the job's log has all of it."""


def changed_bundles(base: str, root: Path = ROOT) -> list[str]:
    """Return the bundles that are new or different since a commit.

    Raises:
        CalledProcessError: git does not know the commit.
    """
    words = ["git", "diff", "--name-only", "-z", "--diff-filter=d", base, "HEAD", "--", BUNDLES]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split("\0") if name]


def check(bundle: str, root: Path = ROOT) -> tuple[bool, str]:
    """Return whether `resonance leaderboard check` passes a bundle, and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "suite", "leaderboard", "check", bundle],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    return done.returncode == 0, done.stdout


def report(bundles: list[str], root: Path = ROOT) -> tuple[bool, str]:
    """Return whether all bundles pass, and the report of them."""
    if not bundles:
        return (
            True,
            f"No file {BUNDLES} is new or changed.\n",
        )
    passed, parts = True, []
    for bundle in bundles:
        good, printed = check(bundle, root)
        passed &= good
        if len(printed) > LONGEST_REPORT:
            printed = printed[:LONGEST_REPORT] + "\n… the log of the job has the rest\n"
        parts.append(f"{bundle}: {'passed' if good else 'NOT passed'}\n\n{printed}")
    return passed, "\n".join(parts)


def main() -> None:
    """Write the report and the number; exit with 1 if a bundle has an error."""
    base, out = sys.argv[1:]
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "number").write_text(os.environ["PR_NUMBER"], encoding="utf-8")
    passed, text = report(changed_bundles(base))
    print(text)
    (folder / "report.txt").write_text(text, encoding="utf-8")
    sys.exit(not passed)


if __name__ == "__main__":
    main()
