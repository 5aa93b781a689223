"""Bounded patterns: width, what is refused and why, and the expression for the beginnings of matches."""

import itertools
import random

import pytest
import re2

from extproc.policy.pattern import MAX_WIDTH, PatternError, parse, union
from extproc.policy.rules import RegexRule, Sample, compile_re2


@pytest.mark.parametrize(
    ("pattern", "width"),
    [
        ("a", 1), ("abc", 3), ("a|bcd", 3), ("(a|bc)d", 3), ("a?b", 2), ("a{3}", 3), ("a{2,5}", 5), ("a{0,5}b", 6),
        ("(ab){1,3}", 6),
        ("(?:ab|c){2}", 4), ("(?P<name>ab)", 2), ("(?<name>ab)", 2), ("[a-z]{4}", 4), (r"[\]a]b", 2), ("[]a]b", 2),
        ("[^]a]b", 2),
        ("[[:alpha:]]b", 2), ("[[:alpha:]x]{2}b", 3), ("[a[:digit:]b]", 1), ("[a[]x", 2), (r"[\d\-]x", 2),
        (r"\d\w\s\D\W\S", 6),
        (r"\bab\b", 2), (r"^ab$", 2), (r"\Aab\z", 2), (r"\Ba", 1), (r"\.\*\{\}", 4), (r"\x41\x{1F600}", 2),
        (r"\pL\p{Greek}\PN\P{Lu}", 4),
        (r"\012\07\0a", 4), (r"\n\t\r\f\v\a", 6), (".", 1), ("é漢😀", 3), ("(?i)abc", 3), ("(?i:a)b", 2),
        ("(?s).", 1), ("(?im-s:a.b)", 3),
        ("a(?i)b|c", 2), ("a(?i)bcd|e(?m)f|g", 4), ("a{2}?", 2), ("a??b", 2), ("x{,5}", 5), ("x{a}", 4),
        ("a{1000}", 1000), ("(?:|a)b", 2),
        ("a{0}b", 1), ("()a", 1), ("((((a))))", 1),
    ],
)  # fmt: skip
def test_the_width_is_that_of_the_longest_match(pattern, width):
    bounded = parse(pattern)
    assert bounded.width == width
    compile_re2(bounded.source)
    compile_re2(bounded.prefix)


def test_ignore_case_is_for_the_whole_pattern():
    bounded = parse("a|b", ignore_case=True)
    assert re2.search(bounded.source, "B")
    assert re2.fullmatch(bounded.prefix, "B")
    assert not re2.search(parse("a|b").source, "B")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a*", "'*' has no bound"), ("a+", "'+' has no bound"), ("(ab)+?", "'+' has no bound"),
        ("a{2,}", "has no upper bound: write {2,22}"),
        ("", "matches the empty text"), ("a?", "matches the empty text"), ("a|", "matches the empty text"),
        (r"\b", "matches the empty text"),
        ("^$", "matches the empty text"), ("a{0,3}", "matches the empty text"), ("(?i)", "matches the empty text"),
        ("a{0}", "matches the empty text"),
        ("a{1000}{1000}", "repetition of a repetition"), ("a???", "repetition of a repetition"),
        ("a{2}{3}", "repetition of a repetition"),
        ("(a{1000}){5}", "5000 characters wide"), ("(a{100}b{100}){30}", "6000 characters wide"),
        ("(?=a)", "look-around"), ("(?!a)b", "look-around"), ("(?<=a)b", "look-around"), ("(?<!a)b", "look-around"),
        ("(?#c)a", "look-around"),
        ("(?>a)", "look-around"), ("(?P=n)", "look-around"), (r"(a)\1", "back-references"),
        (r"\Qa\E", "not supported"), (r"\C", "would cut"),
        ("[[:]x", "begins a POSIX class"), ("[a[:x]:]", "begins a POSIX class"), ("a)", "unbalanced ')'"),
        ("(a", "missing ')'"), ("[a", "missing ']'"), ("[]", "missing ']'"), ("[^]", "missing ']'"),
        ("a\\", "backslash"),
        (r"\p{L", "missing '}'"), (r"\x{41", "missing '}'"), ("*a", "nothing to repeat"), ("?", "nothing to repeat"),
        ("(*a)", "nothing to repeat"),
        ("a|+b", "nothing to repeat"), ("a{3,2}", "low before high"), ("a{1001}", "0 to 1000"),
        ("(" * 60 + "a" + ")" * 60, "nested deeper"),
        ("(?i)" * 60 + "a", "nested deeper"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_the_reason(pattern, message):
    with pytest.raises(PatternError) as caught:
        parse(pattern)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "pattern", [r"\E", r"\Z", r"[\b]", "[z-a]", r"\p{Nonsense}", "[[:nonsense:]]", r"\y", "(?P<a>x)(?P<a>y)[b-a]"]
)
def test_what_only_re2_knows_to_be_wrong_is_refused_when_compiled(pattern):
    with pytest.raises(PatternError):
        RegexRule("r", parse(pattern), "")


@pytest.mark.parametrize(
    "pattern",
    [
        "a(?i)b|c",
        "(a(?i)b|c)d|c",
        "(?i)a|b(?-i)c|d",
        "a|(?i)b",
        "(?:(?i)a)b",
        "a(?i)b(?-i)c|d|e(?i)f",
        "(?i:a(?-i)b|c)d",
        "a{1,2}(?i)b{2}|c",
    ],
)
def test_flags_mean_what_they_mean_to_re2(pattern):
    ours = parse(pattern).source
    for text in map("".join, itertools.product("aAbBcCdDeEfF", repeat=3)):
        for size in (1, 2, 3):
            assert bool(re2.fullmatch(ours, text[:size])) == bool(re2.fullmatch(pattern, text[:size])), text[:size]


def test_the_longest_width_allowed_is_the_documented_one():
    assert MAX_WIDTH == 4096
    assert parse("(?:a{64}){64}").width == 4096
    with pytest.raises(PatternError, match="4097 characters wide; at most 4096"):
        parse("(?:a{64}){64}b")


def _random_pattern(dice, depth=0):
    parts = []
    for _ in range(dice.randint(1, 3)):
        if depth < 2 and dice.random() < 0.4:
            part = f"({'?:' * dice.randint(0, 1)}{_random_pattern(dice, depth + 1)})"
        else:
            part = dice.choice(["a", "b", "[ab]", "[^a]", "c"])
        parts.append(part + dice.choice(["", "", "?", "{2}", "{1,2}", "{0,2}", "{0,2}?", "??"]))
    return "".join(parts) + (f"|{_random_pattern(dice, depth + 1)}" if depth < 2 and dice.random() < 0.3 else "")


def test_the_prefix_expression_matches_exactly_the_prefixes_of_members():
    """Members of small random patterns are found by trying all texts."""
    dice = random.Random(5)
    tried = members_seen = 0
    while tried < 250:
        pattern = _random_pattern(dice)
        try:
            bounded = parse(pattern)
        except PatternError:
            continue
        if bounded.width > 6:
            continue
        tried += 1
        texts = ["".join(each) for size in range(bounded.width + 2) for each in itertools.product("abc", repeat=size)]
        source, prefix = re2.compile(bounded.source), re2.compile(bounded.prefix)
        members = {text for text in texts if source.fullmatch(text)}
        assert members == {text for text in texts if re2.fullmatch(pattern, text)}, "the source means something else"
        assert max(map(len, members)) == bounded.width
        beginnings = {member[:size] for member in members for size in range(len(member) + 1)}
        assert {text for text in texts if prefix.fullmatch(text)} == beginnings, pattern
        members_seen += len(members)
    assert members_seen > 2000


@pytest.mark.parametrize(
    ("pattern", "text", "begins"),
    [
        (r"\bab\b", "x ab", 2), (r"\bab\b", "x abc", 5), (r"\bab\b", "xab", 3), ("ab$", "ab", 0), ("a$", "ab", 2),
        (r"(?m)^a$", "x\na", 2),
        (r"(?m)a$", "a", 0), (r"a\Bb", "a", 0), (r"a\B", "a", 0), ("^a", "ba", 2), (r"\Aab", "a", 0),
        ("a{1,3}b", "xaaaa", 2), ("(?i)ab", "xA", 1),
        (r"(?:\ba|x)b", "ca", 2), (r"(?:\ba|x)b", "cx", 1), ("é漢", "aé", 1),
    ],
)  # fmt: skip
def test_where_a_match_may_be_under_way(pattern, text, begins):
    rule = RegexRule("r", parse(pattern), "")
    assert rule.pending(Sample(text, closed=False), 0) == begins


def test_a_union_keeps_flags_with_their_part_and_takes_the_widest():
    both = union([parse("(?i)a"), parse("bcd")])
    assert both.width == 3
    assert [bool(re2.fullmatch(both.source, text)) for text in ("A", "bcd", "BCD")] == [True, True, False]
    assert [bool(re2.fullmatch(both.prefix, text)) for text in ("A", "bc", "B")] == [True, True, False]
