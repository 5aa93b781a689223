"""Behind lenses too, however a text is cut, what comes out is what the whole text gives, and nothing leaks."""

from __future__ import annotations

import base64
import json
import os
import random
import re
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from extproc.policy.api import Action, Mode, OnError, Phase, Policy, Scope, Strictness, Tally
from extproc.policy.chain import Chain
from extproc.policy.hardened import hardened_rules
from extproc.policy.lenses import Lenses, LensReader, _Reading
from extproc.policy.pattern import parse
from extproc.policy.rules import RegexRule
from extproc.policy.scanner import PolicyFailedError, apply
from extproc.policy.views import JsonView
from extproc.policy.words import WordRule
from tests.property import oracle

CASES = int(os.environ.get("EXTPROC_TEST_CASES", "2500"))
"""Cuts that are tried; 20,000 for the whole proof."""
TERMS = ("pass", "ass", "grey goose", "project aurora", "password", "ignore all previous", "il", "don't tell", "c++")
NOISE = (
    " ", " ", "\n", ".", ", ", "-", "_", "a", "i ", "the ", "é", "漢", "ß", "😀", "\u200b", "&", "%", "\\", "=", "0x", "!",
    "@", "$", "1", "aaaa", "sss", "\r\n", "good", "as", "\x00", "&#", "\\u00", "%6", "YXNz", "aWdu", "70 61", "\U000e0061",
    "ﬁ", "x" * 9,
)  # fmt: skip


def disguised(dice, term):
    """A term in one of many disguises, sometimes in two."""
    for _ in range(dice.choice([0, 1, 1, 1, 2])):
        term = dice.choice(_DISGUISES)(dice, term)
    return term


def _each(change):
    return lambda dice, term: "".join(change(char) if dice.random() < 0.7 else char for char in term)


_LEET = str.maketrans({"a": "4", "e": "3", "i": "1", "o": "0", "s": "$", "t": "7", "l": "1"})
_DISGUISES = (
    _each(lambda char: char + "\u200b"),
    _each(lambda char: char + "\u0336"),
    _each(lambda char: f"&#{ord(char)};"),
    _each(lambda char: f"&#x{ord(char):x}"),
    _each(lambda char: f"\\u{ord(char):04x}" if ord(char) < 0x10000 else char),
    _each(lambda char: f"%{ord(char):02x}" if ord(char) < 0x80 else char),
    _each(lambda char: chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char),
    _each(lambda char: {"a": "а", "s": "ѕ", "o": "о", "p": "р", "e": "е", "i": "і"}.get(char, char)),
    _each(lambda char: char * 5),
    _each(str.upper),
    lambda dice, term: term.translate(_LEET),
    lambda dice, term: dice.choice([" ", ".", "-", "_", "\n"]).join(term),
    lambda dice, term: term[: len(term) // 2] + dice.choice("-._") + term[len(term) // 2 :],
    lambda dice, term: term.replace(" ", dice.choice(["-", "_", "", "  "])),
    lambda dice, term: base64.b64encode(term.encode()).decode(),
    lambda dice, term: base64.urlsafe_b64encode(term.encode()).decode().rstrip("="),
    lambda dice, term: "\n".join(re.findall(".{1,8}", base64.b64encode(term.encode()).decode())),
    lambda dice, term: term.encode().hex(dice.choice([" ", ":", "-"])),
    lambda dice, term: term.encode().hex(),
    lambda dice, term: "".join(chr(0xE0000 + ord(char)) if ord(char) < 0x7F else char for char in term),
    lambda dice, term: term.replace("&", "&amp;").replace("%", "%25"),
)


def a_text(dice):
    """Terms, disguised or not, in noise."""
    parts = dice.choices(NOISE, k=dice.randint(0, 12))
    for _ in range(dice.randint(0, 3)):
        parts.insert(dice.randint(0, len(parts)), f"{dice.choice(['', ' '])}{disguised(dice, dice.choice(TERMS))}")
    return "".join(parts)


def even(candidate):
    return len(candidate) if len(candidate) % 2 == 0 else 0


def picky(candidate):
    if candidate.startswith("z"):
        raise RuntimeError
    return len(candidate)


def rules(dice):
    """Policies of every strictness, in any order."""
    found = []
    for number in range(dice.randint(1, 4)):
        match = dice.choice([Strictness.HARDENED, Strictness.HARDENED, Strictness.FOLDED, Strictness.EXACT])
        terms = dice.sample(TERMS, dice.randint(1, len(TERMS)))
        listed = (
            hardened_rules("w", terms, f"[w{number}]") if match is Strictness.HARDENED
            else [WordRule("w", terms, f"[w{number}]", match)]
        )  # fmt: skip
        made = dice.choice([
            listed,
            [RegexRule("r", parse(r"(?i)\bp[a-z]{1,3}s\b|a.{0,2}o|\d{3,5}"), f"<r{number}>")],
            [RegexRule("r", parse(r"[a-z]{2,6}", ignore_case=True), "", even)],
            [RegexRule("r", parse(r"[xyz]{1,9}"), "~", picky)],
        ])  # fmt: skip
        action = dice.choice([Action.REDACT, Action.REDACT, Action.REDACT, Action.AUDIT, Action.BLOCK])
        everywhere = (frozenset(Phase), frozenset(Scope))
        error = dice.choice(list(OnError))
        found.append(Policy(f"p{number}", action, Mode.ENFORCE, *everywhere, tuple(made), error, match=match))
    return found


def expected(chain, text, *, is_json):
    """What the whole text gives: output (None: all of it is refused), and whether it is stopped."""
    guard = chain.guard(Phase.RESPONSE, Scope.ASSISTANT)
    view = JsonView()
    seen = view.show(text) + view.end() if is_json else text
    matches = guard.enforce.scan(seen)
    stops = frozenset(
        order
        for order, (policy, _) in enumerate(guard.enforce.entries)
        if policy.action in (Action.BLOCK, Action.REPLY)
    )
    replacements = [rule.replacement for _, rule in guard.enforce.entries]
    if not is_json:
        return *oracle.redact(text, matches, replacements, stops), matches
    out, stopped = oracle.redact(seen, matches, replacements, stops)
    return (out if stopped is not None else None), stopped, matches


def check(dice, *, is_json=False):
    chain = Chain(rules(dice))
    text = a_text(dice)
    if is_json:
        text = json.dumps({"a": text, "b": [1, a_text(dice)]}, ensure_ascii=dice.random() < 0.5)
    try:
        wanted, stopped, matches = expected(chain, text, is_json=is_json)
    except PolicyFailedError:
        for pieces in oracle.cuts(dice, text, 2):
            assert run(chain, pieces, is_json=is_json)[1] is not None
        return 3, 0
    whole, _, whole_at = run(chain, [text], is_json=is_json)
    if wanted is not None and not is_json:
        assert whole == wanted
    if is_json and stopped is None and all(json_safe(each) for each in ("[w0]", whole)):
        json.loads(whole)
    count = 0
    secret = {place for each in matches for place in range(each.start, each.end)} if not is_json else set()
    for pieces in oracle.cuts(dice, text, 4):
        count += 1
        out, blocked, at = run(chain, pieces, secret=secret, is_json=is_json)
        assert out == whole, (text, pieces)
        assert (blocked is not None) == (stopped is not None)
        assert at == whole_at
    return count, bool(matches)


def json_safe(text):
    return "<r" not in text and "~" not in text


def run(chain, pieces, *, secret=frozenset(), is_json=False):
    """What comes out, what stopped it, and how far operations reach. Nothing in ``secret`` may be released."""
    track = chain.open(Phase.RESPONSE, Scope.ASSISTANT, Tally(), json=is_json)
    text = "".join(pieces)
    out, at, fed = [], 0, 0
    for piece in [*pieces, None]:
        fed += len(piece or "")
        for length, replacement in track.close() if piece is None else track.feed(piece):
            assert length > 0
            if replacement is None:
                assert not secret & set(range(at, at + length)), (text, pieces, at, secret)
            out.append(text[at : at + length] if replacement is None else replacement)
            at += length
        assert at <= fed
        if track.blocked:
            break
    else:
        assert at == len(text), "operations must cover the text exactly"
    return "".join(out), track.blocked, at


@pytest.mark.parametrize("is_json", [False, True])
def test_every_cut_gives_what_the_whole_text_gives(is_json):
    dice = random.Random(20261121 + is_json)
    total = matched = 0
    wanted = CASES // (4 if is_json else 1)
    while total < wanted:
        count, found = check(dice, is_json=is_json)
        total += count
        matched += count * found
    print(f"{total} cuts, {matched} of texts with a match")
    assert matched > total // 4, "too few texts have a match in them to mean anything"


CHAIN = Chain([
    Policy("w", Action.REDACT, Mode.ENFORCE, frozenset(Phase), frozenset(Scope),
           (*hardened_rules("w", TERMS, "[w]"), RegexRule("m", parse(r"\w{1,9}@\w{1,9}\.com"), "[m]")),
           match=Strictness.HARDENED),
])  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([*NOISE, *TERMS, "a@b", ".com", "&#64;"]) | st.text(max_size=4), max_size=12),
    st.lists(st.integers(1, 60), max_size=12),
)
def test_the_law_holds_for_what_hypothesis_finds(parts, places):
    text = "".join(parts)
    if any(0xD800 <= ord(char) < 0xE000 for char in text):
        return
    decision = CHAIN.inspect(Phase.RESPONSE, [(Scope.ASSISTANT, text, False)], Tally())
    wanted = decision.texts.get(0, text)
    assert run(CHAIN, [text])[0] == wanted
    assert run(CHAIN, oracle.cut(text, places))[0] == wanted
    assert run(CHAIN, list(text))[0] == wanted


def slowly(reading):
    """A reading that lets no stage pass anything over at a glance."""
    reading._skim = None
    for child in reading._children:
        slowly(child)


def test_what_is_passed_over_at_a_glance_is_decided_as_the_long_way_decides_it(monkeypatch):
    """The same matches, and the same place before which all is decided, after every piece."""
    dice = random.Random(20261129)
    total = matched = 0
    skims = Counter()

    def counted(reading, text, passes=_Reading.passes):
        skims[skipped := passes(reading, text)] += bool(text)
        return skipped

    monkeypatch.setattr(_Reading, "passes", counted)
    plain = (
        "the",
        "cat",
        "sat",
        "I",
        "am",
        "a",
        "deed",
        "abba",
        "0",
        "passage",
        "x",
        "Iowa",
        "good",
        "as",
        "YWJj",
        "6162",
    )
    while total < CASES // 2:
        chain = Chain(rules(dice))
        sight = chain.guard(Phase.RESPONSE, Scope.ASSISTANT).enforce
        words = [dice.choice([*plain, *plain, *TERMS, a_text(dice)]) for _ in range(dice.randint(1, 15))]
        text = "".join(dice.choice([" ", " ", " ", "", "\n", ". "]) + word for word in words)
        by_words = [piece for piece in re.split("(?= )", text) if piece]
        for pieces in (by_words, *oracle.cuts(dice, text, 2)):
            readers = sight.reader(), sight.reader()
            if not isinstance(readers[0], LensReader):
                break
            slowly(readers[1]._reading)
            total += 1
            for piece in [*pieces, None]:
                said = [outcome(reader, piece) for reader in readers]
                assert said[0] == said[1], (text, pieces)
                if said[0] is None:
                    break
                matched += len(said[0][0])
    assert skims[True] > total
    assert matched > total // 4


def test_a_whole_text_is_read_as_one_that_comes_in_one_piece():
    """``scan`` goes a shorter way than the reader."""
    dice = random.Random(20261130)
    matched = failed = 0
    for _ in range(CASES // 2):
        entries = [(policy, rule) for policy in rules(dice) for rule in policy.rules]
        sight = Lenses(entries) if dice.random() < 0.7 else Lenses.joined(Lenses(entries[:1]), Lenses(entries[1:]))
        text = a_text(dice)
        reader = sight.reader()
        said = outcome(reader, text) if text else ([], 0)
        wanted = said and (rest := outcome(reader, None)) and [*said[0], *rest[0]]
        try:
            found = sight.scan(text)
        except PolicyFailedError:
            found = None
        assert found == wanted, text
        matched += bool(found)
        failed += found is None
    assert matched > CASES // 8
    assert failed


def outcome(reader, piece):
    try:
        return reader.read(piece or "", closed=piece is None)
    except PolicyFailedError:
        return None


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80), st.sampled_from(["utf-8", "latin-1", "utf-16-le"]))
def test_no_text_is_an_error(raw, encoding):
    text = raw.decode(encoding, "replace")
    matches = CHAIN.guard(Phase.RESPONSE, Scope.ASSISTANT).enforce.scan(text)
    assert all(0 <= match.start < match.end <= len(text) for match in matches)
    assert apply([], "") == ""


@example(["aaaa@", "pass"])
@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.sampled_from([*NOISE, *TERMS, "Grey Goose", "(((", "####", "PASS"]) | st.text(max_size=3), max_size=10)
)
def test_a_hardened_list_finds_all_that_a_folded_one_does(parts):
    text = "".join(parts)
    everywhere = (frozenset(Phase), frozenset(Scope))
    found = {
        match: Lenses(
            (Policy("p", Action.REDACT, Mode.ENFORCE, *everywhere, (), match=match), rule) for rule in made
        ).scan(text)
        for match, made in (
            (Strictness.FOLDED, [WordRule("w", [*TERMS, "### new"], "", Strictness.FOLDED)]),
            (Strictness.HARDENED, hardened_rules("w", [*TERMS, "### new"], "")),
        )
    }
    covered = {place for each in found[Strictness.HARDENED] for place in range(each.start, each.end)}
    for each in found[Strictness.FOLDED]:
        if not any(sign in text for sign in "&%\\"):  # an escape is read as what it means
            assert set(range(each.start, each.end)) <= covered, (text, text[each.start : each.end])
