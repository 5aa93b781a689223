"""The window by hand: what it holds, when it lets go, and that it says so exactly once. Its law is in tests/property."""

import pytest

from extproc.policy.api import Action, Mode, Phase, Policy, Scope, Tally
from extproc.policy.pattern import parse
from extproc.policy.pii.catalogue import TYPES
from extproc.policy.rules import RegexRule
from extproc.policy.scanner import Op, Scanner, apply
from extproc.policy.window import Window
from extproc.policy.words import WordRule
from tests.support import edits


def scanner(*rules, action=Action.REDACT):
    policy = Policy("p", action, Mode.ENFORCE, frozenset(Phase), frozenset(Scope), rules)
    return Scanner(tuple((policy, rule) for rule in rules))


def regex(pattern, accept=None):
    return RegexRule("r", parse(pattern), "*", accept)


@pytest.mark.parametrize(
    ("rules", "steps"),
    [
        ([regex("ab")], [("x", [Op(1)]), ("a", []), ("b", []), ("a", [Op(2, "*")]), (None, [Op(1)])]),
        ([regex("ab")], [("xa", [Op(1)]), ("x", [Op(2)]), (None, [])]),
        ([regex("ab")], [("", []), (None, [])]),
        ([regex(r"a\b")], [("a", []), ("b", [Op(2)]), (" a", [Op(1)]), (None, [Op(1, "*")])]),
        ([regex(r"\ba")], [("b", [Op(1)]), ("a", [Op(1)]), (" ", [Op(1)]), ("a", []), (None, [Op(1, "*")])]),
        ([regex("^a")], [("a", []), ("a", [Op(1, "*"), Op(1)]), (None, [])]),
        ([regex("a$")], [("a", []), ("a", [Op(1)]), (None, [Op(1, "*")])]),
        ([regex("(?m)^a")], [("\n", [Op(1)]), ("a", []), (None, [Op(1, "*")])]),
        ([regex("abc"), regex("cd")], [("abc", []), ("d", [Op(3, "*")]), (None, [Op(1, "")])]),
        ([WordRule("w", ["foo", "foo bar"], "#")], [("foo", []), (" ", []), ("bar", []), ("!", [Op(7, "#"), Op(1)])]),
        ([WordRule("w", ["foo", "foo bar"], "#")], [("foo ba", []), ("z", [Op(3, "#"), Op(4)]), (None, [])]),
        ([], [("anything", [Op(8)]), (None, [])]),
    ],
)  # fmt: skip
def test_operations_are_given_as_soon_as_they_are_decided(rules, steps):
    window = Window(scanner(*rules), Tally())
    fed = done = 0
    for text, wanted in steps:
        ops = window.close() if text is None else window.feed(text)
        fed, done = fed + len(text or ""), done + sum(op.length for op in ops)
        assert ops == wanted
        assert window.held == fed - done


def after_blank(candidate):
    """The part of a candidate that begins after the first blank."""
    return candidate.index(" ") + 1, len(candidate)


def test_of_a_match_only_a_part_may_be_redacted():
    """What stands before the part is given out, and what other rules find there is redacted by them."""
    window = Window(scanner(regex("id .{3}", after_blank), RegexRule("r", parse("[id]"), "+")), Tally())
    assert window.feed("an id 12") == [Op(3)]
    assert window.feed("3.") == [Op(1, "+"), Op(1, "+"), Op(1), Op(3, "*"), Op(1)]
    assert window.close() == []


def test_a_part_waits_until_what_begins_before_it_is_decided():
    """The candidate is decided, but the match of another rule that overlaps its part and begins earlier is not yet."""
    text = "id a123bbb"
    whole = scanner(regex(r"id \w{4}", lambda candidate: (4, 7)), RegexRule("r", parse(r"a\w{1,6}!"), "+"))
    assert apply(edits(whole, whole.scan(text + "!"), len(text) + 1), text + "!") == "id +"
    window = Window(whole, Tally())
    assert window.feed(text) == [Op(3)]
    assert window.feed("!") + window.close() == [Op(8, "+")]
    window = Window(whole, Tally())
    assert window.feed(text) == [Op(3)]
    assert window.feed(".") + window.close() == [Op(1), Op(3, "*"), Op(4)]


def test_two_parts_after_one_word_are_both_found_where_the_expression_spans_them():
    whole = scanner(regex(r"id \d{3}", after_blank), regex(r"id \d{3} \d{3}", lambda candidate: (7, 10)))
    assert apply(edits(whole, whole.scan("id 123 456"), 10), "id 123 456") == "id * *"
    window = Window(whole, Tally())
    ops = [op for char in "id 123 456" for op in window.feed(char)] + window.close()
    assert apply(ops, "id 123 456") == "id * *"


def test_a_part_that_blocks_ends_the_text_where_it_begins():
    tally = Tally()
    window = Window(scanner(regex("id .{3}", after_blank), action=Action.BLOCK), tally)
    assert window.feed("an id ") == [Op(3)]
    assert window.feed("123") + window.feed("4") == [Op(3)]
    assert window.blocked is not None
    assert tally.rows()[0]["count"] == 1


def test_a_block_ends_the_text_where_its_match_begins():
    tally = Tally()
    window = Window(scanner(regex("bad"), action=Action.BLOCK), tally)
    assert window.feed("so b") == [Op(3)]
    assert window.blocked is None
    assert window.feed("ad bad") == []
    assert window.blocked is not None
    assert window.feed("more") == window.close() == []
    assert tally.rows() == [{"policy": "p", "label": "r", "outcome": "block", "count": 1}]


def test_what_a_validator_skips_stays_skipped_over_a_cut():
    rules = [shape.rule("ip", "*") for shape in TYPES["ip"]]
    text = "1.2.3.4.5.x"
    whole = scanner(*rules)
    assert apply(edits(whole, whole.scan(text), len(text)), text) == text
    for at in range(len(text)):
        window = Window(whole, Tally())
        assert apply(window.feed(text[:at]) + window.feed(text[at:]) + window.close(), text) == text


def test_a_long_text_is_not_kept():
    window = Window(scanner(regex("a{1,5}b")), Tally())
    for _ in range(1000):
        window.feed("xyz a")
    assert len(window._reader._buffer) < 20


def test_matches_are_tallied_once():
    tally = Tally()
    window = Window(scanner(regex("ab")), tally)
    for char in "abxabab":
        window.feed(char)
    window.close()
    assert tally.rows()[0]["count"] == 3
