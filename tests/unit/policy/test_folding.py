"""Folding: what every character is shown as, and what stands behind it."""

import sys
import unicodedata

import pytest

from extproc.policy.folding import Fold, fold_all, plain
from tests.unit.policy.stages import behind, run, same_for_every_cut


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", ""), ("plain text, as it is\n\t", "plain text, as it is\n\t"), ("Ｐａｓｓ", "Pass"), ("раѕѕ", "pass"),
        ("ρᎪss", "pAss"), ("ᴘᴀꜱꜱ", "pass"), ("𝓹𝓪𝓼𝓼", "pass"), ("ⓟⓐⓢⓢ", "pass"), ("🅿🅰🆂🆂", "PASS"), ("🄿🄰", "PA"),
        ("🇵🇦🇸🇸", "PASS"), ("p\u200ba\u00ads\u2060s", "pass"), ("p\u202ea\u2066ss", "pass"),
        ("p\ufe0fa\ufe0fss", "pass"),
        ("p\U000e0061ass", "pass"), ("p\U000e0abcass", "pass"), ("p\u0336a\u0301ss", "pass"), ("pássé", "passe"),
        ("ﬁx ½", "fix 1/2"), ("x²y₃", "x2y3"), ("pa\x00ss\x7f", "pass"), ("a\u3164b", "ab"), ("a\u2800b", "a b"),
        ("４１１１–１", "4111-1"),
        ("a＠b．com", "a@b.com"), ("æ Œ", "ae OE"), ("ｶ が", "カ が"), ("漢字", "漢字"), ("हिन्दी", "हिन्दी"), ("ไทย", "ไทย"),
        ("한국", "한국"), ("ß", "ß"), ("\xa0", " "), ("აბგ", "აბგ"),
    ],
)  # fmt: skip
def test_what_is_shown(text, wanted):
    assert same_for_every_cut(Fold, text)[0] == wanted
    assert fold_all(text) == wanted


@pytest.mark.parametrize(
    ("text", "what", "source"),
    [
        ("x p\u200bass y", "pass", "p\u200bass"),
        ("\u200bpass\u200b", "pass", "pass"),
        ("x ﬁ y", "i", "ﬁ"),
        ("x ﬁ y", "fi", "ﬁ"),
        ("ﬃﬃ", "if", "ﬃﬃ"),
        ("раѕѕ", "ss", "ѕѕ"),
    ],
)
def test_what_stands_behind_it(text, what, source):
    assert behind(Fold, text, what) == source


def test_folding_twice_changes_nothing_more():
    for code in range(sys.maxunicode + 1):
        if not 0xD800 <= code < 0xE000 and not 0x3400 <= code < 0xA000:
            once = fold_all(chr(code))
            assert fold_all(once) == once, hex(code)


def test_every_compatibility_form_of_a_letter_is_the_letter():
    """The ranges that are looked at when the table is built leave none out."""
    for code in range(0x80, 0x20000):
        wanted = unicodedata.normalize("NFKC", chr(code))
        if wanted.isascii() and wanted.isalnum() and wanted not in "ijl":
            assert fold_all(chr(code)).casefold() == wanted.casefold(), hex(code)


def test_all_format_characters_disappear():
    kept = [
        hex(code)
        for code in range(0x20000)
        if unicodedata.category(chr(code)) == "Cf" and fold_all(chr(code)) and not 0x13430 <= code < 0x13440
    ]
    assert kept == []  # but for the layout of hieroglyphs


def test_text_that_needs_nothing_is_known_at_a_glance():
    assert plain("")
    assert plain("a b\n\tc")
    assert not plain("é")
    assert not plain("a\x00b")
    assert run(Fold(), ["abc"])[1] == [(0, 1), (1, 2), (2, 3)]
