"""What is shown of text from outside: no control, bidirectional or invisible characters."""

import json
import sys
import unicodedata

import pytest

from suite.core.shown_text import escaped_json, is_shown, shown, shown_data, shown_json, shown_lines

HIDDEN_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def test_every_character_of_the_hidden_categories_is_replaced():
    for letter in map(chr, range(sys.maxunicode + 1)):
        if unicodedata.category(letter) in HIDDEN_CATEGORIES:
            assert not is_shown(letter), ascii(letter)
        elif unicodedata.category(letter) != "Cn":
            assert is_shown(letter), ascii(letter)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("RigL × 0.9 – 37 % ± Ä 漢字 🙂\u202f\xa0", "RigL × 0.9 – 37 % ± Ä 漢字 🙂\u202f\xa0"),
        ("\x1b]0;x\x07\x1b[31mred", "�]0;x��[31mred"),
        ("a\n\r\nb\tc\u2028d", "a b c d"),
        ("gnp\u202eexe.\u200b", "gnp�exe.�"),
        ("\x9b31m\x7f\xad", "�31m��"),
        ("\ud800x", "\\ud800x"),
        ("", ""),
    ],
)
def test_a_shown_text_is_one_line(text, line):
    assert shown(text) == line
    assert shown(line) == line
    assert shown_data({text: [text, 1, None]}) == {line: [line, 1, None]}


def test_lines_of_our_own_stay():
    assert shown_lines("a\n\tb\x1b\r\n") == "a\n\tb��\n"


HOSTILE = 'x\x1b[31m\u202e\u200b\x9b\n\t"\\u001b \\\x07\U000e0041\u2028'


@pytest.mark.parametrize("plain", [True, False])
def test_json_keeps_its_structure(plain):
    text = json.dumps({HOSTILE: HOSTILE, "n": [1.5, "é\n"]}, ensure_ascii=plain, indent=1)
    clean = HOSTILE.replace("\n", "<").replace("\t", ">")
    clean = "".join(c if is_shown(c) else "�" for c in clean).replace("<", "\n").replace(">", "\t")
    assert json.loads(shown_json(text)) == {clean: clean, "n": [1.5, "é\n"]}


def test_json_for_programs_has_the_same_content_and_nothing_hidden():
    text = json.dumps({HOSTILE: HOSTILE, "half": "\ud800"}, ensure_ascii=False, indent=1)
    told = escaped_json(text)
    assert json.loads(told) == json.loads(text)
    assert is_shown(told.replace("\n", ""))
