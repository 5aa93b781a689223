"""Which texts are an entry in disguise, and which harmless ones only look a little like it."""

import pytest

from extproc.policy.disguise import Entry, expression, key, read, units
from extproc.policy.folding import fold_all
from extproc.policy.hardened import HardenedWords
from extproc.policy.rules import Sample


def found(words, text):
    rule = HardenedWords("w", [words] if isinstance(words, str) else words, "")
    seen = text if text.isascii() else fold_all(text)
    assert len(seen) == len(text)
    span = rule.find(Sample(seen, closed=True), 0, len(text))
    return text[span[0] : span[1]] if span else None


@pytest.mark.parametrize(
    ("entry", "text", "what"),
    [
        ("pass", "my pass.", "pass"), ("pass", "PASS", "PASS"), ("pass", "p4ss", "p4ss"), ("pass", "pa$$!", "pa$$"),
        ("pass", "p@55", "p@55"), ("ass", "4ss", "4ss"), ("ass", "@$$hole", None), ("ass", "a$$", "a$$"),
        ("shit", "sh!t!", "sh!t"),
        ("evil", "evil!!", "evil"), ("pass", "paaass", "paaass"), ("pass", "ppaassss", "ppaassss"),
        ("password", "passwword", "passwword"),
        ("ass", "asss", "asss"), ("password", "pass-word", "pass-word"), ("password", "p_ass.word", "p_ass.word"),
        ("grey goose", "Grey-Goose", "Grey-Goose"), ("grey goose", "grey   goose", "grey   goose"),
        ("grey goose", "greygoose", "greygoose"),
        ("grey goose", "grey\ngoose", "grey\ngoose"), ("ignore all", "1gn0re_all", "1gn0re_all"),
        ("ignore all", "lgnore all", "lgnore all"),
        ("rule34", "rule34", "rule34"), ("don't tell", "don't tell", "don't tell"),
        ("don't tell", "dont tell", "dont tell"),
        ("сука", "СУКА!", "СУКА"),
        ("漢字", "私漢字書", "漢字"),
        ("哈哈", "哈哈哈哈哈", "哈哈"), ("a, b c", "a, b c", "a, b c"), ("pass", "я pass я", "pass"),
        ("grey goose", "grey - goose", "grey - goose"),
        (["pen", "pen island"], "pen is land", "pen"), (["pen", "penisland"], "pen-island", "pen-island"),
        ("il", "il il", "il"),
    ],
)  # fmt: skip
def test_found(entry, text, what):
    assert found(entry, text) == what


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("ass", "class"), ("ass", "as"), ("as", "ass"), ("god", "good"), ("good", "god"), ("penis", "pen is"),
        ("ass", "455"), ("ass", "a55 road"),
        ("ass", "a-s-s"), ("pass", "pa-ss"), ("balls", "bails"), ("fall", "fail"), ("boob", "8008"),
        ("pass", "passe"), ("pass", "жpass"),
        ("grey goose", "so grey. Goose"), ("grey goose", "grey, goose"), ("x ray", "xray"), ("rule34", "ruleea"),
        ("a b", "ab"),
        ("pass", "my_pass_key"), ("ass", "@$$"), ("grey goose", "grey\0goose"), ("grey goose", "grey -- - goose"),
    ],
)  # fmt: skip
def test_not_found(entry, text):
    assert found(entry, text) is None


def test_what_an_entry_is_made_of():
    entry = read("Pass  Word")
    assert isinstance(entry, Entry)
    assert entry.letters == 8
    assert key(list(entry.units)) == "pasword"
    assert [unit.gap for unit in entry.units] == ["", "", "", " ", "", "", ""]


@pytest.mark.parametrize("word", ["c++", ".net", "a", "1488", "$", "a ---- b", ""])
def test_entries_that_are_taken_literally(word):
    assert read(word) is None


def test_units_know_their_places_and_gaps():
    first, second = units("pp-p q", 10)
    assert first[1:] == ("ppp", 10, 14, "", "-")
    assert second[1:] == ("q", 15, 16, " ", "")


def test_the_expression_is_in_proportion_to_the_entry():
    entry = read("ignore all previous instructions")
    assert entry is not None
    assert len(expression(entry)) < 40 * entry.letters
