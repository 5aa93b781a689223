"""What redaction means, written a second time: with Python's ``re`` and plain loops, knowing nothing of extproc.policy.

A rule is found leftmost first, without overlaps. Matches of several rules that overlap form one cluster,
replaced by the
replacement of its first match: leftmost, then longest, then the rule listed first. A blocking match ends the text.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

_NO_BLANKS = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI", "LAO", "MYANMAR", "KHMER")


@dataclass(frozen=True)
class Found:
    start: int
    end: int
    order: int


@dataclass(frozen=True)
class Pattern:
    """A regular expression in both syntaxes. ``accept`` is a validator with the meaning of ``rules.Accept``."""

    re2: str
    python: str
    width: int
    accept: Callable[[str], int | tuple[int, int]] | None = None

    def find_all(self, text):
        expression = re.compile(self.python, re.ASCII)
        found, at = [], 0
        while match := expression.search(text, at):
            start, end = match.span()
            taken = end - start if self.accept is None else self.accept(text[start:end])
            if isinstance(taken, tuple):
                found.append((start + taken[0], start + taken[1]))
                at = start + taken[1]
            elif taken > 0:
                found.append((start, start + taken))
                at = start + taken
            else:
                at = start + max(1, -taken)
        return found


@dataclass(frozen=True)
class Words:
    entries: tuple[str, ...]

    @property
    def width(self):
        return max(map(len, self.entries))

    def find_all(self, text):
        wanted = sorted({"".join(map(_folded, entry)) for entry in self.entries}, key=len, reverse=True)
        folded = "".join(map(_folded, text))
        found, at = [], 0
        while at < len(text):
            length = next(
                (len(word) for word in wanted if folded.startswith(word, at) and _alone(text, at, len(word))), 0
            )
            if length:
                found.append((at, at + length))
            at += length or 1
        return found


def _folded(char):
    if char.isspace():
        return " "
    return char.casefold() if len(char.casefold()) == 1 else char


def _alone(text, start, length):
    end = start + length
    left = start > 0 and _letter(text[start - 1]) and _letter(text[start])
    right = end < len(text) and _letter(text[end]) and _letter(text[end - 1])
    return not left and not right


def _letter(char):
    """Part of a word in a script that puts blanks between words."""
    return (char.isalnum() or char == "_") and not unicodedata.name(char, "").startswith(_NO_BLANKS)


def find(rules, text):
    """All matches of all rules in order."""
    found = [Found(start, end, order) for order, rule in enumerate(rules) for start, end in rule.find_all(text)]
    return sorted(found, key=lambda each: (each.start, -each.end, each.order))


def redact(text, found, replacements, stops=frozenset()):
    """The redacted text, and where it ends: at the first match of a rule in ``stops``, else None."""
    out, at = [], 0
    for each in found:
        if each.order in stops:
            return "".join(out) + text[at : each.start], each.start
        if each.start >= at:
            out.append(text[at : each.start] + replacements[each.order])
        at = max(at, each.end)
    return "".join(out) + text[at:], None


def cut(text, places):
    """A text cut at these places."""
    edges = [0, *sorted({place for place in places if 0 < place < len(text)}), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


def cuts(random, text, times):
    """Whole, unit by unit, and at random."""
    yield [text]
    yield cut(text, range(1, len(text)))
    for _ in range(times):
        yield cut(text, random.sample(range(len(text) + 1), random.randint(0, min(len(text), 8))))
