"""Secrets in streams: for every cut the same as whole, and a gate that changes nothing but the time it takes."""

import os
import random
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.policy.api import Action, Mode, Phase, Policy, Scope, Tally
from extproc.policy.chain import Chain
from extproc.policy.gate import gate
from extproc.policy.kinds.base import Context
from extproc.policy.kinds.secrets import Secrets
from extproc.policy.pattern import parse
from extproc.policy.rules import RegexRule, Sample
from extproc.policy.scanner import Scanner, apply
from tests.detect import made
from tests.property import oracle
from tests.support import edits

CASES = int(os.environ.get("EXTPROC_TEST_CASES", "2500"))
"""Cuts that are tried; 20,000 for the whole proof."""
POLICY = Secrets.model_validate({"kind": "secrets"}).compile("secrets", Context())
CHAIN = Chain([POLICY])
SCANNER = Scanner(tuple((POLICY, rule) for rule in POLICY.rules))
PLANTED = [text for seed in range(3) for _, text in made.every(seed)]
SHORT = [text for text in PLANTED if len(text) < 120]
GLUE = [
    " ",
    "\n",
    "",
    "-",
    "_",
    ".",
    "=",
    "é",
    "漢",
    "the key is ",
    "password: ",
    "token=",
    "sk-",
    "Bearer ",
    "eyJ",
    '"',
    ", ",
]


def streamed(chain, pieces):
    """What the client receives, how often each rule matched, and the most that was held back."""
    tally = Tally()
    track = chain.open(Phase.RESPONSE, Scope.ASSISTANT, tally)
    text, out, at, most = "".join(pieces), [], 0, 0
    for piece in [*pieces, None]:
        for length, replacement in track.close() if piece is None else track.feed(piece):
            out.append(text[at : at + length] if replacement is None else replacement)
            at += length
        most = max(most, track.held)
    assert at == len(text)
    return "".join(out), tally.counts, most


def whole(text):
    return apply(edits(SCANNER, SCANNER.scan(text), len(text)), text)


def mixture(dice, parts):
    """Secrets, beginnings and ends of secrets, and what may stand around them."""
    out = []
    for _ in range(parts):
        text = dice.choice(SHORT)
        low, high = sorted((dice.randint(0, len(text)), dice.randint(0, len(text))))
        out += [dice.choice(GLUE), text if dice.random() < 0.6 else text[low:high]]
    return "".join(out)


def check(text, pieces, chain=CHAIN):
    wanted = streamed(chain, [text])
    assert wanted[0] == whole(text)
    got = streamed(chain, pieces)
    assert got[:2] == wanted[:2]
    assert got[2] <= max(rule.width for rule in POLICY.rules)
    return wanted[0] != text


def test_every_planted_secret_at_every_cut():
    dice = random.Random(20261122)
    hit = 0
    for text in dice.sample(SHORT, 120):
        around = f"{dice.choice(GLUE)}{text}{dice.choice(GLUE)}x"
        hit += check(around, list(around))
        for place in range(1, len(around)):
            check(around, [around[:place], around[place:]])
    assert hit > 90


def test_random_mixtures_of_whole_and_broken_secrets():
    dice = random.Random(20261123)
    hit = cases = 0
    while cases < CASES:
        text = mixture(dice, dice.randint(1, 4))
        for pieces in oracle.cuts(dice, text, 2):
            cases += 1
            hit += check(text, pieces)
    assert hit > cases // 2


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 1 << 32), places=st.lists(st.integers(1, 300), max_size=40), before=st.text(max_size=5))
def test_the_law_holds_for_what_hypothesis_finds(seed, places, before):
    text = before.encode(errors="ignore").decode() + mixture(random.Random(seed), 2)
    check(text, oracle.cut(text, places))


def test_keys_of_any_length_are_never_held_back_and_count_once():
    dice = random.Random(20261124)
    for size in (64, 1200, 8192, 16384):
        for line in ("\n", "\r\n", "\\n"):
            key = made.private_key(dice, size, line=line)
            text = f"Keep this: {key}{line}{key}\nand {made.jwt(dice, payload=b'{}' + bytes(size))} too"
            for pieces in (
                list(text),
                [text[at : at + 7] for at in range(0, len(text), 7)],
                *oracle.cuts(dice, text, 3),
            ):
                out, counts, most = streamed(CHAIN, pieces)
                assert out == f"Keep this: [private_key]{line}[private_key]\nand [jwt] too"
                assert counts == {("secrets", "private_key", "redact"): 2, ("secrets", "jwt", "redact"): 1}
                assert len(pieces) < 10 or most < 600


def test_a_gate_changes_neither_what_is_found_nor_what_is_under_way():
    dice = random.Random(20261125)
    bare = [RegexRule(rule.label, rule.pattern, "", rule._accept) for rule in POLICY.rules]
    for _ in range(60):
        text = mixture(dice, 2)
        text = text[: dice.randint(1, len(text))]
        start = dice.randint(0, min(5, len(text)))
        sample = Sample(text, closed=False)
        wanted = min(rule.pending(sample, start) for rule in bare)
        assert SCANNER.pending(sample, start) == wanted
        named = {index for index, rule in enumerate(bare) if _any(rule, text)}
        assert named <= set(SCANNER._gated(Sample(text, closed=True), 0))


def _any(rule, text):
    span = rule.find(Sample(text, closed=True), 0, len(text))
    return span is not None and span[0] < span[1]


def test_every_rule_looks_at_each_character_a_few_times_at_most():
    """A refused candidate is passed over whole, so that no text makes the checks quadratic."""
    dice = random.Random(20261127)
    for rule in POLICY.rules:
        seen = []
        counting = RegexRule(
            rule.label, rule.pattern, "", lambda candidate, seen=seen: seen.append(len(candidate)) or -len(candidate)
        )
        sources = [text for family, text in made.every(dice.randrange(99)) if family == rule.label and len(text) < 400]
        for text in sources:
            for unit in (text, text[: len(text) // 2], text[:-1] + " ", text[: len(text) // 3 + 1]):
                seen.clear()
                sample = Sample(unit * 40, closed=True)
                at = 0
                while (span := counting.find(sample, at, len(sample.text))) is not None and at < len(sample.text):
                    at = max(span[1], at + 1)
                assert sum(seen) <= len(sample.text)


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=60), places=st.lists(st.integers(1, 60), max_size=20))
def test_any_text_is_read_and_the_same_for_every_cut(text, places):
    text = text.encode(errors="ignore").decode()
    check(text, oracle.cut(text, places))
    check(f"api_key={text}", oracle.cut(f"api_key={text}", places))


class Open(RegexRule):
    """A made-up open-ended rule: letters a and blanks that do not follow a blank go on."""

    __slots__ = ("gate", "open_ended")
    more = re.compile(r"(?:a|(?<! ) )*+")

    def __init__(self, label, pattern, replacement, number):
        super().__init__(label, parse(pattern), replacement)
        self.open_ended = True
        self.gate = (gate(("<", "b")), number)

    def extend(self, sample, end):
        return self.more.match(sample.text, end).end()


def _expected(text, rules):
    """Written a second time: matches that go on, and clusters of those that overlap."""
    found = []
    for order, (pattern, label, goes_on) in enumerate(rules):
        at = 0
        while match := re.compile(pattern).search(text, at):
            at = match.end()
            while goes_on and at < len(text) and (text[at] == "a" or (text[at] == " " and text[at - 1] != " ")):
                at += 1
            found.append((match.start(), -at, order, label))
    out, at = [], 0
    for start, end, _, label in sorted(found):
        if start >= at:
            out.append(text[at:start] + label)
        at = max(at, -end)
    return "".join(out) + text[at:], len(found)


def test_matches_that_go_on_and_others_around_them():
    dice = random.Random(20261126)
    rules = [
        Open("o", "<a", "O", 0),
        RegexRule("r", parse("a b"), "R"),
        Open("p", "b ", "P", 1),
        RegexRule("s", parse("aa?c|>"), "S"),
    ]
    plain = [("<a", "O", True), ("a b", "R", False), ("b ", "P", True), ("aa?c|>", "S", False)]
    policy = Policy("p", Action.REDACT, Mode.ENFORCE, frozenset(Phase), frozenset(Scope), tuple(rules))
    chain = Chain([policy])
    for _ in range(3000):
        text = "".join(dice.choices("<aaa  bc>\u00e9", k=dice.randint(1, 20)))
        wanted, count = _expected(text, plain)
        for pieces in oracle.cuts(dice, text, 3):
            out, counts, _ = streamed(chain, pieces)
            assert out == wanted, (text, pieces)
            assert sum(counts.values()) == count
