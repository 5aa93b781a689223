"""Word lists: literal words and phrases, any number of them at the same cost (Aho-Corasick).

Owns: what counts as a word boundary and how entries are compared. An entry matches case-insensitively, any single white
space stands for the blank in it, and where its first or last character belongs to a script that separates words, it
must not touch another such character there ("ass" is not in "pass"). Scripts without blanks (Han, Kana, Thai, Hangul
with its particles) have no such boundary.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import ahocorasick

from extproc.policy.api import Strictness
from extproc.policy.folding import fold_all
from extproc.policy.rules import Presence, Sample, escape, fold

_UNSPACED = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0xAC00, 0xD7AF),
             (0xF900, 0xFAFF), (0x20000, 0x3FFFF))  # fmt: skip


def joins(char: str) -> bool:
    """Whether a character forms words that blanks separate: a neighbour like it means "inside a word"."""
    if char.isascii():
        return char.isalnum() or char == "_"
    code = ord(char)
    return char.isalnum() and not any(low <= code <= high for low, high in _UNSPACED)


_JOINING = rf"[^\W{''.join(f'{chr(low)}-{chr(high)}' for low, high in _UNSPACED)}]"  # what ``joins`` says, as a class
PLACES = re.compile(rf"(?<!{_JOINING})|(?!{_JOINING})")
"""Where an entry may begin: everywhere but inside a word."""
_ASCII_PLACES: Final = re.compile(r"(?<!\w)|(?!\w)", re.ASCII)


def places(sample: Sample, start: int, end: int) -> Iterator[re.Match[str]]:
    """The places (see ``PLACES``) from ``start`` to ``end``."""
    return (_ASCII_PLACES if sample.ascii else PLACES).finditer(sample.text, start, end)


_GRAM = 4


class _Lexicon:
    """Entries as one automaton. Each has a value of the caller's.

    ``width`` is the length of the longest. ``_grams`` are all runs of ``_GRAM`` characters in the entries: what ends in none
    of them is no beginning of a longer entry, and most texts do not.
    """

    __slots__ = ("_automaton", "_grams", "width")

    def __init__(self, entries: Mapping[str, Any]) -> None:
        self._automaton = ahocorasick.Automaton()
        for entry, value in entries.items():
            self._automaton.add_word(entry, (len(entry), joins(entry[0]), joins(entry[-1]), value))
        self._automaton.make_automaton()
        self.width = max(map(len, entries), default=0)
        self._grams = frozenset(
            entry[at : at + _GRAM] for entry in entries for at in range(max(0, len(entry) - _GRAM + 1))
        )

    def __len__(self) -> int:
        return len(self._automaton)

    def occurrences(self, sample: Sample, start: int, limit: int) -> Iterator[tuple[int, int, Any]]:
        """(start, end, value) of entries that begin in ``start <= s < limit``, in the order of their ends."""
        if start >= limit or not self.width:
            return
        text = sample.text
        size = len(text)
        stop = min(size, limit - 1 + self.width)
        for last, (length, joins_left, joins_right, value) in self._automaton.iter(sample.folded, start, stop):
            end = last + 1
            first = end - length
            if first >= limit or (joins_left and first > 0 and joins(text[first - 1])):
                continue
            if not (joins_right and end < size and joins(text[end])):
                yield first, end, value

    def pending(self, sample: Sample, start: int, bound: int) -> int:
        """The least place at or after ``start`` where an entry may be under way; ``bound`` if there is none before it."""
        folded = sample.folded
        size = len(folded)
        at = max(start, size - self.width)
        if size - at >= _GRAM and folded[-_GRAM:] not in self._grams:
            at = size - _GRAM + 1
        if at < bound:
            for place in places(sample, at, bound):
                at = place.start()
                if at < bound and self._automaton.match(folded[at:]):
                    return at
        return bound


class WordRule:
    """A list of words and phrases as one rule: leftmost match, of those the longest.

    Args:
        label: what a match is called.
        words: entries; blanks at their ends and runs of blanks do not count.
        replacement: what stands in for a match.
        strictness: exact: case counts; folded: entries are folded as the text is; None: neither.
    """

    __slots__ = ("_cased", "_lexicon", "entries", "label", "replacement", "width")

    def __init__(
        self, label: str, words: Iterable[str], replacement: str, strictness: Strictness | None = None
    ) -> None:
        self.label = label
        self.replacement = replacement
        words = {" ".join(word.split()) for word in words}
        if strictness is Strictness.FOLDED:  # look-alikes of large and small letters may differ
            words = {fold_all(form) for word in words for form in (word, word.casefold(), word.upper(), word.title())}
        self._cased = frozenset(words) if strictness is Strictness.EXACT else None
        self.entries = frozenset(map(fold, words)) - {""}
        self._lexicon = _Lexicon(dict.fromkeys(self.entries))
        self.width = self._lexicon.width

    def __len__(self) -> int:
        return len(self._lexicon)

    def find(self, sample: Sample, start: int, limit: int) -> tuple[int, int] | None:
        """See ``Rule.find``."""
        best: tuple[int, int] | None = None
        for first, end, _ in self._lexicon.occurrences(sample, start, limit):
            if best is not None and end > best[0] + self.width:
                break
            if self._cased is not None and " ".join(sample.text[first:end].split()) not in self._cased:
                continue
            if best is None or (first, -end) < (best[0], -best[1]):
                best = (first, end)
        return best

    def pending(self, sample: Sample, start: int) -> int:
        """See ``Rule.pending``."""
        return self._lexicon.pending(sample, start, len(sample.text))


_LONG = 100
"""From here on RE2, which is several times faster a character than the automaton, is asked first."""
_EXPRESSION_MAX = 100_000
"""Characters of entries beyond which it would need too much memory."""


class WordBundle:
    """All word lists of a scanner as one: which of them have a match at all, and where may one be under way.

    ``rules`` are the lists, each with a number of the caller's.
    """

    __slots__ = ("_count", "_expression", "_lexicon")

    def __init__(self, rules: Sequence[tuple[int, WordRule]]) -> None:
        owners: dict[str, list[int]] = {}
        for number, rule in rules:
            for entry in rule.entries:
                owners.setdefault(entry, []).append(number)
        self._lexicon = _Lexicon(owners)
        self._count = len(rules)
        small = 0 < sum(map(len, owners)) <= _EXPRESSION_MAX
        self._expression = Presence("|".join(map(_loosely, sorted(owners)))) if small else None

    def found(self, sample: Sample, start: int, limit: int) -> set[int]:
        """Numbers of the lists that have a match which begins in ``start <= s < limit``."""
        found: set[int] = set()
        if self._expression and limit - start >= _LONG and not self._expression.in_folded(sample, start):
            return found
        for _, _, numbers in self._lexicon.occurrences(sample, start, limit):
            found.update(numbers)
            if len(found) == self._count:
                break
        return found

    def pending(self, sample: Sample, start: int, bound: int) -> int:
        """The least place at or after ``start`` where an entry of one of them may be under way, at most ``bound``."""
        return self._lexicon.pending(sample, start, bound)


def _loosely(entry: str) -> str:
    """RE2 for a folded entry: with a boundary where ASCII alone tells that it needs one, so it misses no match."""
    left = r"\b" if entry[0].isascii() and joins(entry[0]) else ""
    right = r"\b" if entry[-1].isascii() and joins(entry[-1]) else ""
    return left + escape(entry) + right
