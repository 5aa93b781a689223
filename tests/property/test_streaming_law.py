"""For every way of cutting a text, the client receives exactly what redacting the whole text gives.

The meaning of redaction comes from ``oracle``, written anew; random rules and texts are judged by it.
"""

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.policy.api import Action, Mode, OnError, Phase, Policy, Scope, Tally
from extproc.policy.chain import Chain
from extproc.policy.pattern import parse
from extproc.policy.rules import RegexRule
from extproc.policy.words import WordRule
from tests.property import oracle

_ALPHABET = "aaabbbABcé1122  --.._\n\r漢字ß😀"
_ENTRIES = (
    "ab",
    "a b",
    "b",
    "ba ab",
    "b1",
    "é",
    "éa",
    "漢字",
    "字 a",
    "😀a",
    "a-b",
    ".a",
    "ab ab ab",
    "aß",
    "A  1",
    "12",
)


class Case:
    """Policies as the product takes them, and the same rules as the oracle takes them."""

    def __init__(self, dice, *, blocking):
        self.rules, self.replacements, self.actions = [], [], []
        self.policies = []
        for number in range(dice.randint(1, 3)):
            action = dice.choice([Action.REDACT, Action.REDACT, Action.REDACT, Action.AUDIT])
            action = Action.BLOCK if blocking and number == 0 else action
            mode = dice.choice([Mode.ENFORCE, Mode.ENFORCE, Mode.ENFORCE, Mode.AUDIT]) if number else Mode.ENFORCE
            rules = [self._rule(dice, f"p{number}r{each}", action, mode) for each in range(dice.randint(1, 2))]
            everywhere = (frozenset(Phase), frozenset(Scope))
            self.policies.append(Policy(f"p{number}", action, mode, *everywhere, tuple(rules), OnError.BLOCK))
        self.chain = Chain(self.policies)

    def _rule(self, dice, label, action, mode):
        replacement = dice.choice([f"[{label}]", "", "a", "*é*"])
        self.replacements.append(replacement)
        self.actions.append(action if mode is Mode.ENFORCE else Action.AUDIT)
        if dice.random() < 0.35:
            words = oracle.Words(tuple(dice.sample(_ENTRIES, dice.randint(1, 5))))
            self.rules.append(oracle.Words(tuple(" ".join(each.split()) for each in words.entries)))
            return WordRule(label, words.entries, replacement)
        pattern = _pattern(dice)
        self.rules.append(pattern)
        return RegexRule(label, parse(pattern.re2), replacement, pattern.accept)

    def expect(self, text):
        """The oracle's matches of acting rules, the output, where it was blocked, and how often rules only watched."""
        found = oracle.find(self.rules, text)
        acting = [each for each in found if self.actions[each.order] is not Action.AUDIT]
        stops = {order for order, action in enumerate(self.actions) if action is Action.BLOCK}
        watched = Counter(each.order for each in found if self.actions[each.order] is Action.AUDIT)
        return acting, *oracle.redact(text, acting, self.replacements, stops), watched


def _pattern(dice):
    while True:
        re2, python, low, high = _alternation(dice, 0, multiline=False)
        flags = dice.choice(["", "", "", "(?i)", "(?m)"])
        if flags == "(?m)":
            python = python.replace(r"\Z", "$")
        if low:
            return oracle.Pattern(flags + re2, flags + python, high, dice.choice([None, None, *_VALIDATORS]))


def _even(candidate):
    return len(candidate) if len(candidate) % 2 == 0 else 0


def _half(candidate):
    return max(1, len(candidate) // 2)


def _bare(candidate):
    return len(candidate.rstrip(" -.\n"))


def _never_b(candidate):
    return -len(candidate) if "b" in candidate else len(candidate)


def _skips_two(candidate):
    return len(candidate) if "1" in candidate else -2


def _last(candidate):
    return len(candidate) - 1, len(candidate)


def _middle(candidate):
    return len(candidate) // 3, max(len(candidate) * 2 // 3, len(candidate) // 3 + 1)


def _after_blank(candidate):
    at = candidate.find(" ") + 1
    return (at, len(candidate)) if 0 < at < len(candidate) else 0


_VALIDATORS = (_even, _half, _bare, _never_b, _skips_two, _last, _middle, _after_blank)


def _alternation(dice, depth, *, multiline):
    branches = [_branch(dice, depth, multiline=multiline) for _ in range(dice.choice([1, 1, 2, 3]))]
    re2, python, low, high = zip(*branches, strict=True)
    return "|".join(re2), "|".join(python), min(low), max(high)


def _branch(dice, depth, *, multiline):
    re2, python, low, high = "", "", 0, 0
    for _ in range(dice.randint(1, 3)):
        part = _part(dice, depth, multiline=multiline)
        re2, python, low, high = re2 + part[0], python + part[1], low + part[2], high + part[3]
    return re2, python, low, high


def _part(dice, depth, *, multiline):
    choice = dice.random()
    if choice < 0.18:
        assertion = dice.choice([r"\b", r"\b", r"\b", r"\B", "^", "$"])
        return assertion, r"\Z" if assertion == "$" and not multiline else assertion, 0, 0
    if choice < 0.4 and depth < 2:
        inner = dice.choice(["(?:", "(", "(?i:", "(?m:"])
        re2, python, low, high = _alternation(dice, depth + 1, multiline=multiline or inner == "(?m:")
        re2, python = f"{inner}{re2})", f"{inner}{python})"
    else:
        atom = dice.choice(
            ["a", "b", "ab", "1", r"\d", "[ab]", "[^a]", ".", " ", "-", r"\.", r"\w", r"\s", "漢", "[é漢]", "é"]
        )
        re2 = python = f"(?:{atom})" if atom == "ab" else atom
        low = high = 2 if atom == "ab" else 1
    if low and dice.random() < 0.4:
        least, most = sorted((dice.randint(0, 2), dice.randint(1, 4)))
        repeat = dice.choice([f"{{{least},{most}}}", f"{{{most}}}", "?"]) + dice.choice(["", "", "?"])
        least = most if repeat.startswith(f"{{{most}}}") else 0 if repeat.startswith("?") else least
        most = 1 if repeat.startswith("?") else most
        # only "{n}?" has no lazy form: Python and RE2 both read it as a lazy repetition, which changes nothing
        re2, python, low, high = re2 + repeat, python + repeat, low * least, high * most
    return re2, python, low, high


def _text(dice):
    return "".join(dice.choices(_ALPHABET, k=dice.choice([3, 8, 8, 15, 15, 30])))


def _check(case, text, pieces):
    """Run one case; returns whether a rule matched."""
    acting, wanted, stopped, watched = case.expect(text)
    secret = {place for each in acting for place in range(each.start, each.end)}
    widest = max(rule.width for rule in case.rules)
    tally = Tally()
    track = case.chain.open(Phase.RESPONSE, Scope.ASSISTANT, tally)
    assert track is not None
    out, at, fed = [], 0, 0
    for piece in [*pieces, None]:
        fed += len(piece or "")
        for length, replacement in track.close() if piece is None else track.feed(piece):
            assert length > 0
            if replacement is None:
                out.append(text[at : at + length])
                leaked = secret & set(range(at, at + length))
                assert not leaked, f"characters {leaked} of a match were released"
            else:
                out.append(replacement)
            at += length
        assert at <= fed
        if stopped is not None and track.blocked:
            break
        assert fed - at <= widest, "more is held back than the widest rule"
    assert "".join(out) == wanted
    assert (track.blocked is not None) == (stopped is not None)
    if stopped is None:
        assert at == len(text)
        counted = Counter({label: count for (_, label, outcome), count in tally.counts.items() if outcome == "audit"})
        assert sum(counted.values()) == sum(watched.values())
    return bool(acting)


def _run(dice, cases, *, blocking):
    counted = matched = 0
    while counted < cases:
        case = Case(dice, blocking=blocking)
        for _ in range(5):
            text = _text(dice)
            for pieces in oracle.cuts(dice, text, 4):
                counted += 1
                matched += _check(case, text, pieces)
    return counted, matched


def test_random_rules_on_random_texts_give_the_same_for_every_cut():
    plain, plain_matched = _run(random.Random(20261120), 14_000, blocking=False)
    blocking, blocking_matched = _run(random.Random(20261121), 14_000, blocking=True)
    print(f"{plain + blocking} cases, {plain_matched + blocking_matched} of them with a match")
    assert plain + blocking >= 28_000
    assert min(plain_matched, blocking_matched) > 4_000, "too few cases have a match in them to mean anything"


@settings(max_examples=400, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    blocking=st.booleans(),
    text=st.text(st.sampled_from(sorted(set(_ALPHABET))), max_size=24),
    places=st.lists(st.integers(1, 24), max_size=24),
)
def test_the_law_holds_for_what_hypothesis_finds(seed, blocking, text, places):
    _check(Case(random.Random(seed), blocking=blocking), text, oracle.cut(text, places))


def test_a_text_of_any_length_is_released_behind_the_window():
    """What is held back depends on the rule's width, never on the length of the text."""
    policy = Policy(
        "p", Action.REDACT, Mode.ENFORCE, frozenset(Phase), frozenset(Scope), (RegexRule("r", parse("a{1,9}b"), "*"),)
    )
    track = Chain([policy]).open(Phase.RESPONSE, Scope.ASSISTANT, Tally())
    assert track is not None
    held = []
    for char in "a" * 5000:
        track.feed(char)
        held.append(track.held)
    assert max(held) == 9
