"""The blocks of docs/own-loop.md run as printed, and print what the comments beside them say.

A section's blocks run after one another: after the page's first block, or by themselves where the
page calls the section complete.
"""

import importlib.util
import re
from typing import Any

import pytest

from tests.conftest import require
from tests.docs import rules
from tests.docs.collector import ROOT, Piece, collect

BLOCKS = [piece for piece in collect() if (piece.page, piece.kind) == (rules.IN_SECTIONS, "python")]
SECTIONS = list(dict.fromkeys(piece.section for piece in BLOCKS))
FIRST = BLOCKS[0]
NEEDS = {
    "Lightning": "lightning",
    "Hugging Face Trainer": "transformers",
    "Accelerate": "accelerate",
    "timm": "timm",
}
"""The complete sections, and the extra that each needs."""


@pytest.mark.parametrize("section", SECTIONS)
# Lightning advises more workers for its loaders, and uses torch's pytree in a deprecated way.
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated")
def test_the_blocks_of_a_section_print_what_they_say(section, place):
    names: dict[str, Any] = {"__name__": "__main__"}
    if (part := NEEDS.get(section)) is not None:
        present = importlib.util.find_spec(part) is not None
        require(part, present, f"pip install 'resonance-bench[{part}]'")
    elif section != FIRST.section:
        run(FIRST, names)
    for piece in BLOCKS:
        if piece.section == section:
            assert run(piece, names) == said(piece), piece.place


def run(piece: Piece, names: dict[str, Any]) -> list[str]:
    """Run a block among `names`; return what it prints itself, not what libraries print."""
    printed: list[str] = []
    names["print"] = lambda *values: printed.append(" ".join(map(str, values)))
    exec(compile(piece.text, piece.place, "exec"), names)
    return printed


def said(piece: Piece) -> list[str]:
    """Return the comment beside each `print` of a block."""
    comments = re.findall(r"^ *print\(.*\)  # (.+)$", piece.text, re.MULTILINE)
    assert len(comments) == piece.text.count("print("), f"{piece.place}: what is printed?"
    return comments


def test_every_complete_section_is_there_and_its_extra_is_named():
    text = (ROOT / rules.IN_SECTIONS).read_text(encoding="utf-8")
    for section, extra in NEEDS.items():
        assert section in SECTIONS
        assert f"pip install 'resonance-bench[{extra}]'" in text


def test_a_block_that_prints_something_else_is_noticed():
    piece = Piece("page.md", 1, "python", "print(1 + 1)  # 3\n")
    assert run(piece, {}) == ["2"] != said(piece)
    with pytest.raises(AssertionError, match=r"page\.md:1: what is printed"):
        said(Piece("page.md", 1, "python", "print(1)\n"))
