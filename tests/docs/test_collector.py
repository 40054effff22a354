"""Nothing that a page shows as code is missed."""

from tests.docs.collector import PAGES, ROOT, collect, is_command, is_option, pieces

PAGE = """\
# A page

Say `resonance list
methods`, ``make `x` ``, or `--seed`; `import torch` is no command.

    first one   # with a comment
    second \\
      goes on

* in a list:

  ```sh
  $ third

  fourth
  ```

| `resonance info rigl` | `a\\|b c` |
|---|---|
| x | `resonance doctor --offline` |

```python
x = 1
```
"""


def test_commands_blocks_and_spans_are_found_with_their_lines():
    found = [(piece.kind, piece.line, piece.text) for piece in pieces("page.md", PAGE)]
    assert found == [
        ("span", 3, "resonance list methods"),
        ("span", 4, "make `x`"),
        ("span", 4, "--seed"),
        ("span", 4, "import torch"),
        ("command", 6, "first one   # with a comment"),
        ("command", 7, "second   goes on"),
        ("command", 13, "$ third"),
        ("command", 15, "fourth"),
        ("span", 18, "resonance info rigl"),
        ("span", 18, "a|b c"),
        ("span", 20, "resonance doctor --offline"),
        ("python", 23, "x = 1\n"),
    ]


def test_a_command_in_running_text_is_told_from_code_and_data():
    commands = ["make docs", "apt-get install x", "unheard-of --of", "python -m tests.fuzz csr"]
    others = ["import torch", "for _ in x:", "n = 5", "test: 0.2", "f(x, y)", "rigl", "task <str>"]
    assert all(is_command(text) for text in commands)
    assert not any(is_command(text) for text in others)
    assert is_option("-s 0.9")
    assert is_option("--grid")
    assert not is_option("−1.07 points")


def test_every_page_is_looked_at():
    written = {str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md")}
    written = {page for page in written if not page.startswith("docs/methods/")}
    written |= {"README.md", "CONTRIBUTING.md", "examples/README.md"}
    assert set(PAGES) == written
    assert {piece.page for piece in collect() if is_command(piece.text)} >= {
        "README.md", "CONTRIBUTING.md", "examples/README.md", "docs/running.md", "docs/faq.md",
    }  # fmt: skip
