"""Write the report of a submission's check as a comment of its pull request.

    python comment_on_submission.py FOLDER

FOLDER holds what `check_submissions.py` wrote. That ran the code of the pull request, so both files
may hold anything: the number must be digits and belong to the commit that was checked, and the
report is cut and shown as text, never run, never formatted.

The variables: HEAD_SHA (the commit that was checked) and CONCLUSION (of that run), both as GitHub
says, GITHUB_REPOSITORY, GITHUB_API_URL and GITHUB_TOKEN.
"""

import json
import os
import re
import stat
import sys
import urllib.request
from pathlib import Path
from typing import Any

MARK = "<!-- resonance-bench: check of a submission -->"
"""The first line of the comment, by which a later run finds and replaces it."""
AUTHOR = "github-actions[bot]"
LONGEST = 40_000
"""Characters of the report in a comment; GitHub allows 65,536 in all."""
LONGEST_RUN = 30
"""So many backticks in a row are cut: the fence around them would be longer still."""
PAGES = 10
"""Of a hundred comments each: an older comment of ours is looked for in these."""
TIMEOUT = 30


def read_limited(file: Path, limit: int) -> str:
    """Return the first bytes of a plain file as text.

    Raises:
        ValueError: it is no plain file (a link could lead elsewhere).
    """
    if not stat.S_ISREG(os.lstat(file).st_mode):
        raise ValueError(f"{file.name} is not a plain file")
    with file.open("rb") as opened:
        return opened.read(limit).decode("utf-8", errors="replace")


def request_number(text: str) -> int:
    """Return the number of a pull request.

    Raises:
        ValueError: it is anything but a number.
    """
    if not re.fullmatch(r"[1-9][0-9]{0,8}\n?", text, re.ASCII):
        raise ValueError("the number of the pull request is not a number")
    return int(text)


def fenced(text: str) -> str:
    """Return a text as a block that shows it as it is.

    Control, bidirectional and other invisible characters are left out. The fence is longer than any
    run of its character in the text, so the text cannot end the block.
    """
    shown = "".join(c for c in text if c in "\n\t" or c.isprintable())
    if len(shown) > LONGEST:
        shown = shown[:LONGEST] + "\n… cut: the log of the check has the rest"
    shown = re.sub(f"`{{{LONGEST_RUN},}}", "`" * (LONGEST_RUN - 1) + "…", shown)
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{shown.rstrip()}\n{fence}"


def comment(report: str, conclusion: str, sha: str) -> str:
    """Return the comment's text in Markdown."""
    passed = conclusion == "success"
    verdict = "ended without an error" if passed else "found errors, or could not be run"
    return (
        f"{MARK}\n"
        "The check of the bundles that this pull request adds or changes, if it does, "
        f"{verdict} ({sha[:12]}). "
        "`resonance leaderboard check` compares what the records say with one another: hashes, "
        "exact zeros, FLOPs, seeds, budgets, revisions and metrics. It trains nothing again, so it "
        "does not show that a result is true, and no other file is checked. It ran the code of "
        "this pull request, which also printed what follows: read both as its author's word.\n\n"
        f"{fenced(report)}\n"
    )


class GitHub:
    """The few requests to GitHub's API that are needed here."""

    def __init__(self, api: str, repository: str, token: str) -> None:
        self._root = f"{api.rstrip('/')}/repos/{repository}"
        self._token = token

    def ask(self, method: str, path: str, content: dict[str, str] | None = None) -> Any:
        """Return the answer to a request, as JSON.

        Raises:
            OSError: it is refused, or cannot be sent.
        """
        request = urllib.request.Request(
            self._root + path,
            method=method,
            data=None if content is None else json.dumps(content).encode(),
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return json.load(answer)

    def head(self, number: int) -> str:
        """Return the newest commit of an open pull request.

        Raises:
            ValueError: it is closed.
        """
        found = self.ask("GET", f"/pulls/{number}")
        if found["state"] != "open":
            raise ValueError(f"pull request {number} is not open")
        return str(found["head"]["sha"])

    def our_comment(self, number: int) -> int | None:
        """Return the id of the comment that an earlier run wrote; None without one."""
        for page in range(1, PAGES + 1):
            comments = self.ask("GET", f"/issues/{number}/comments?per_page=100&page={page}")
            for one in comments:
                if (one["user"] or {}).get("login") == AUTHOR and one["body"].startswith(MARK):
                    return int(one["id"])
            if len(comments) < 100:
                return None
        return None


def write_comment(folder: Path, github: GitHub, sha: str, conclusion: str) -> None:
    """Write the comment, or replace that of an earlier run.

    Raises:
        ValueError: what was checked is not the newest commit of that pull request, or a file is not
            what it should be.
        OSError: a file is missing, or GitHub refuses a request.
    """
    if not re.fullmatch(r"[0-9a-f]{40}", sha):
        raise ValueError("HEAD_SHA is not a commit")
    number = request_number(read_limited(folder / "number", 20))
    report = read_limited(folder / "report.txt", 8 * LONGEST)
    if github.head(number) != sha:
        raise ValueError(f"{sha} is not the newest commit of pull request {number}")
    body = {"body": comment(report, conclusion, sha)}
    earlier = github.our_comment(number)
    if earlier is None:
        github.ask("POST", f"/issues/{number}/comments", body)
    else:
        github.ask("PATCH", f"/issues/comments/{earlier}", body)


def main() -> None:
    """Write the comment, or say in one line why not."""
    says = os.environ
    github = GitHub(says["GITHUB_API_URL"], says["GITHUB_REPOSITORY"], says["GITHUB_TOKEN"])
    try:
        write_comment(Path(sys.argv[1]), github, says["HEAD_SHA"], says["CONCLUSION"])
    except (ValueError, OSError) as error:
        sys.exit(f"no comment is written: {error}")


if __name__ == "__main__":
    main()
