"""The comment on a submission: what the checked code wrote is a stranger's text."""

import os

import pytest
from markdown_it import MarkdownIt

from tests.infrastructure.github_api import Api, serve
from tests.infrastructure.scripts import load

script = load("comment_on_submission")
SHA = "a" * 40


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "number").write_text("7")
    (tmp_path / "report.txt").write_text("no error\n")
    return tmp_path


@pytest.fixture
def api():
    with serve(Api(head=SHA)) as found:
        yield found


def write(folder, api, conclusion="success", sha=SHA):
    github = script.GitHub(api.url, "me/bench", "a-token")
    script.write_comment(folder, github, sha, conclusion)


def test_the_report_is_written_once_and_then_replaced(folder, api):
    write(folder, api)
    (folder / "report.txt").write_text("3 errors\n")
    write(folder, api, "failure")
    (comment,) = api.comments
    assert comment["body"].startswith(script.MARK + "\n")
    assert "found errors, or could not be run (aaaaaaaaaaaa)" in comment["body"]
    assert "```text\n3 errors\n```" in comment["body"]
    assert api.tokens == {"Bearer a-token"}


def test_the_comment_says_what_was_checked_and_what_was_not(folder, api):
    write(folder, api)
    (comment,) = api.comments
    said = comment["body"].removeprefix(script.MARK + "\n").partition("\n\n")[0]
    assert said.startswith(
        "The check of the bundles that this pull request adds or changes, if it does, ended "
        "without an error (aaaaaaaaaaaa). "
    )
    for limit in ("trains nothing again", "does not show that a result is true", "no other file"):
        assert limit in said


def test_only_a_comment_of_ours_is_replaced(folder, api):
    api.comments += [
        {"id": n, "user": {"login": "somebody"}, "body": script.MARK} for n in range(120)
    ]
    api.comments.append(
        {"id": 120, "user": {"login": script.AUTHOR}, "body": f"other\n{script.MARK}"}
    )
    write(folder, api)
    assert len(api.comments) == 122
    write(folder, api)
    assert len(api.comments) == 122
    assert ("PATCH", "/repos/me/bench/issues/comments/121") in api.asked


@pytest.mark.parametrize(
    "number", ["", "0", "07", "-7", "7.0", "7 8", "７", "7\n8", "../7", "7/../8", "7" * 30, "\0"]
)
def test_what_is_no_number_is_sent_nowhere(folder, api, number):
    (folder / "number").write_text(number)
    with pytest.raises(ValueError, match="is not a number"):
        write(folder, api)
    assert api.asked == []


def test_a_commit_that_is_not_the_newest_of_that_request_gets_no_comment(folder, api):
    with pytest.raises(ValueError, match="is not the newest commit of pull request 7"):
        write(folder, api, sha="b" * 40)
    (folder / "number").write_text("8")
    with pytest.raises(OSError, match="404"):
        write(folder, api)
    (folder / "number").write_text("7")
    api.state = "closed"
    with pytest.raises(ValueError, match="pull request 7 is not open"):
        write(folder, api)
    with pytest.raises(ValueError, match="HEAD_SHA is not a commit"):
        write(folder, api, sha="main")
    assert api.comments == []
    assert {method for method, _ in api.asked} == {"GET"}


@pytest.mark.parametrize("name", ["number", "report.txt"])
def test_a_link_and_a_pipe_are_not_read(folder, api, name):
    (folder / "secret").write_text("7")
    (folder / name).unlink()
    (folder / name).symlink_to(folder / "secret")
    with pytest.raises(ValueError, match="is not a plain file"):
        write(folder, api)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(ValueError, match="is not a plain file"):
        write(folder, api)
    assert api.comments == []


@pytest.mark.parametrize(
    "text",
    [
        "```\n# A heading\n@everyone [link](https://example.org) <img src=x>\n```",
        "`````\n<script>alert(1)</script>\n`````\nafter",
        "~~~\nafter",
        "    ```\n\t```\n> ```\nafter",
        "`" * 200 + "\nafter",
        "\u202eafter\u2066\u200b\x1b[31m\r\nafter\u2028```\nafter",
        "<!-- resonance-bench -->\n-->\nafter",
        "",
    ],
)
def test_a_report_is_one_block_of_text_whatever_is_in_it(text):
    tokens = MarkdownIt("commonmark").parse(script.comment(text, "failure", SHA))
    assert [token.type for token in tokens] == [
        "html_block", "paragraph_open", "inline", "paragraph_close", "fence",
    ]  # fmt: skip
    shown = tokens[-1].content
    assert "after" in shown or "after" not in text
    assert not {"\u202e", "\u2066", "\u200b", "\x1b", "\r", "\u2028"} & set(shown)


@pytest.mark.parametrize("character", ["x", "`", "\U0001f600"])
def test_a_huge_report_is_cut_to_what_github_takes(folder, api, character):
    (folder / "report.txt").write_text(character * 1_000_000)
    write(folder, api)
    (comment,) = api.comments
    assert len(comment["body"]) < 65_536
    assert "cut: the log of the check has the rest" in comment["body"]
