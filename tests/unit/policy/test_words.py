"""Word lists: boundaries by script, folding character by character, leftmost and longest."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.policy.rules import Sample, fold
from extproc.policy.words import WordRule, joins


def found(words, text):
    rule, sample, at, out = WordRule("w", words, ""), Sample(text, closed=True), 0, []
    while span := rule.find(sample, at, len(text)):
        out.append(text[span[0] : span[1]])
        at = span[1]
    return out


@pytest.mark.parametrize(
    ("words", "text", "wanted"),
    [
        (["ass"], "pass assassin ass Ass! class_ass ass_ (ass)", ["ass", "Ass", "ass"]),
        (
            ["project x"],
            "Project X project  x project\nx project\tx project\u00a0x projectx project xy",
            ["Project X", "project\nx", "project\tx", "project\u00a0x"],
        ),
        (["a", "a b", "a b c"], "a b c a b x a", ["a b c", "a b", "a"]),
        (["foo", "foo bar baz"], "foo bar bazz", ["foo"]),
        (["c++"], "c++ c+++ xc++ c++x", ["c++", "c++", "c++"]),
        ([".net"], "asp.net .net .network", [".net", ".net"]),
        (["東京"], "東京都 x東京y 大東京", ["東京", "東京", "東京"]),
        (["바보"], "바보야", ["바보"]),
        (["ผี"], "กผีก", ["ผี"]),
        (["カナ"], "カナダ", ["カナ"]),
        (["東a"], "東a 東ab 西東a", ["東a", "東a"]),
        (["été"], "ÉTÉ étés l'été", ["ÉTÉ", "été"]),
        (["мат"], "МАТ материал", ["МАТ"]),
        (["straße"], "Straße STRASSE", ["Straße"]),
        (["😀"], "a😀b😀", ["😀", "😀"]),
        (["x1"], "x1 x12 ax1 x1a", ["x1"]),
        (["  b   c "], "b c", ["b c"]),
        (["ab", "bc"], "ab bc abc", ["ab", "bc"]),
        (["a a"], "a a a a a", ["a a", "a a"]),
        ([], "anything", []),
        (["", "  "], "anything", []),
    ],
)
def test_a_word_is_found_alone_and_the_longest_of_the_leftmost(words, text, wanted):
    assert found(words, text) == wanted


@pytest.mark.parametrize(
    ("char", "yes"),
    [
        ("a", True),
        ("9", True),
        ("_", True),
        ("é", True),
        ("я", True),
        ("ß", True),
        ("²", True),
        ("-", False),
        (" ", False),
        ("漢", False),
        ("あ", False),
        ("ア", False),
        ("한", False),
        ("ก", False),
        ("😀", False),
        ("\u0301", False),
    ],
)
def test_which_characters_join_into_words(char, yes):
    assert joins(char) is yes


def test_folding_never_changes_the_length_and_is_done_char_by_char():
    every = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    for char in every:
        assert len(fold(char)) == 1
        assert fold(fold(char)) == fold(char)
        assert joins(char) <= joins(fold(char)), "a word could begin where pending() does not look"
    assert fold("".join(every)) == "".join(map(fold, every))


@given(st.text(), st.text())
def test_folding_has_no_context(left, right):
    assert fold(left + right) == fold(left) + fold(right)


@given(st.text(st.sampled_from("aAéÉßẞ İıſs\u212a\t\n\u00a0\u2003ΣσςＡ")))
def test_folding_is_casefold_where_that_keeps_the_length(text):
    for char, folded in zip(text, fold(text), strict=True):
        if char.isspace():
            assert folded == " "
        elif len(char.casefold()) == 1:
            assert folded == char.casefold()
        else:
            assert folded == char


def test_every_blank_there_is_stands_for_a_blank():
    blanks = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace() and code not in range(0x1C, 0x20)]
    assert len(blanks) > 20
    for blank in blanks:
        assert found(["a b"], f"a{blank}b") == [f"a{blank}b"], hex(ord(blank))


@pytest.mark.parametrize(
    ("words", "text", "at"),
    [
        (["foo"], "a fo", 2), (["foo"], "a foo", 2), (["foo"], "afo", 3), (["foo"], "a fox", 5),
        (["foo bar"], "x foo ", 2), (["漢字"], "a漢", 1),
        (["foo"], "", 0), (["foo"], "x", 1), (["aaa b"], "aaaa", 4), ([".a"], "x.", 1), (["İx"], "İ", 0),
    ],
)  # fmt: skip
def test_where_a_word_may_be_under_way(words, text, at):
    assert WordRule("w", words, "").pending(Sample(text, closed=False), 0) == at


def test_width_and_size():
    rule = WordRule("w", ["a", "A", "abc d", "a"], "")
    assert (rule.width, len(rule)) == (5, 2)
    assert WordRule("w", [], "").width == 0


def test_a_search_stays_within_start_and_limit():
    rule, sample = WordRule("w", ["ab"], ""), Sample("ab ab ab", closed=True)
    assert rule.find(sample, 1, 8) == (3, 5)
    assert rule.find(sample, 1, 3) is None
    assert rule.find(sample, 1, 4) == (3, 5)
    assert rule.find(sample, 4, 4) is None


def test_a_list_of_ten_thousand_words_is_searched_like_a_short_one():
    words = [f"word{number}" for number in range(10_000)]
    assert found(words, "x word77 word10000 word9999") == ["word77", "word9999"]
