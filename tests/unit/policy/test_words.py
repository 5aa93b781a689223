"""Word lists: boundaries by script, folding character by character, leftmost and longest."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.policy.rules import Sample, fold
from extproc.policy.words import PLACES, WordBundle, WordRule, joins


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
        if fold(char).isascii():
            assert joins(char) == joins(fold(char)), "a boundary of a text could be none of its folded form"
        assert [each.start() for each in PLACES.finditer(char * 2)] == ([0, 2] if joins(char) else [0, 1, 2])
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


# lists together

LISTS = (["foo", "foo bar baz", "c++", "the end"], ["bar", "東京", ".net", "été"], ["straße", "a b", "x", "foo"])
WILD = st.lists(
    st.sampled_from(
        [*(word for words in LISTS for word in words), *"abcx .+-_é漢ßK\u212aſ\n\t\u00a0", "fo", "foo b", "The", "FOO"]
    ),
    max_size=30,
).map("".join)


@given(WILD, WILD, st.integers(0, 200), st.integers(0, 200), st.sampled_from([0, 200]))
def test_a_bundle_finds_what_its_lists_find(left, right, start, limit, padding):
    """Padded, it is long enough to be asked of RE2 first."""
    rules = [WordRule(str(number), words, "") for number, words in enumerate(LISTS)]
    bundle = WordBundle(list(enumerate(rules)))
    text = left + "-" * padding + right
    sample = Sample(text, closed=True)
    start, limit = min(start, len(text)), min(limit + padding, len(text))
    wanted = {number for number, rule in enumerate(rules) if rule.find(sample, start, limit)}
    assert bundle.found(sample, start, limit) == wanted


@given(WILD, st.integers(0, 40))
def test_a_bundle_waits_for_what_its_lists_wait_for(text, start):
    rules = [WordRule(str(number), words, "") for number, words in enumerate(LISTS)]
    sample = Sample(text, closed=False)
    start = min(start, len(text))
    bundle = WordBundle(list(enumerate(rules)))
    wanted = min(rule.pending(sample, start) for rule in rules)
    for bound in {start, (start + len(text)) // 2, len(text)}:
        assert bundle.pending(sample, start, bound) == min(wanted, bound)


@given(WILD)
def test_pending_is_the_first_place_from_which_an_entry_could_go_on(text):
    words = [word for each in LISTS for word in each]
    sample = Sample(text, closed=False)
    places = [
        at
        for at in range(len(text))
        if any(fold(word).startswith(sample.folded[at:]) for word in words)
        and not (at and joins(text[at - 1]) and joins(text[at]))
    ]
    assert WordRule("w", words, "").pending(sample, 0) == min(places, default=len(text))


def test_lists_too_long_for_an_expression_are_searched_all_the_same():
    words = [f"word{number:06}" for number in range(20_000)]
    bundle = WordBundle([(7, WordRule("w", words, ""))])
    assert bundle.found(Sample("x " * 100 + "word019999", closed=True), 0, 210) == {7}
    assert bundle.found(Sample("x " * 100 + "word020000", closed=True), 0, 210) == set()
