"""Word lists: literal words and phrases, any number of them at the same cost (Aho-Corasick).

Owns: what counts as a word boundary and how entries are compared. An entry matches case-insensitively, any single white
space stands for the blank in it, and where its first or last character belongs to a script that separates words, it
must not touch another such character there ("ass" is not in "pass"). Scripts without blanks (Han, Kana, Thai, Hangul
with its particles) have no such boundary.
"""

from __future__ import annotations

from collections.abc import Iterable

import ahocorasick

from extproc.policy.rules import Sample, fold

_UNSPACED = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0xAC00, 0xD7AF),
             (0xF900, 0xFAFF), (0x20000, 0x3FFFF))  # fmt: skip


def joins(char: str) -> bool:
    """Whether a character forms words that blanks separate: a neighbour like it means "inside a word"."""
    if char.isascii():
        return char.isalnum() or char == "_"
    code = ord(char)
    return char.isalnum() and not any(low <= code <= high for low, high in _UNSPACED)


class WordRule:
    """A list of words and phrases as one rule: leftmost match, of those the longest.

    Args:
        label: what a match is called.
        words: entries; blanks at their ends and runs of blanks do not count.
        replacement: what stands in for a match.
    """

    __slots__ = ("_automaton", "label", "replacement", "width")

    def __init__(self, label: str, words: Iterable[str], replacement: str) -> None:
        self.label = label
        self.replacement = replacement
        self._automaton = ahocorasick.Automaton()
        entries = {fold(" ".join(word.split())) for word in words} - {""}
        for entry in entries:
            self._automaton.add_word(entry, (len(entry), joins(entry[0]), joins(entry[-1])))
        self._automaton.make_automaton()
        self.width = max((len(entry) for entry in entries), default=0)

    def __len__(self) -> int:
        return len(self._automaton)

    def find(self, sample: Sample, start: int, limit: int) -> tuple[int, int] | None:
        """See ``Rule.find``."""
        if start >= limit or not self.width:
            return None
        best: tuple[int, int] | None = None
        stop = min(len(sample.text), limit - 1 + self.width)
        for last, entry in self._automaton.iter(sample.folded, start, stop):
            first, end = last + 1 - entry[0], last + 1
            if best is not None and end > best[0] + self.width:
                break
            if first >= limit or not _bounded(sample.text, first, end, entry):
                continue
            if best is None or (first, -end) < (best[0], -best[1]):
                best = (first, end)
        return best

    def pending(self, sample: Sample, start: int) -> int:
        """See ``Rule.pending``."""
        text, folded, match = sample.text, sample.folded, self._automaton.match
        size = len(text)
        at = max(start, size - self.width)
        inside = at > 0 and joins(text[at - 1])
        while at < size:
            joining = joins(text[at])
            if not (inside and joining) and match(folded[at:]):
                return at
            inside = joining
            at += 1
        return size


def _bounded(text: str, first: int, end: int, entry: tuple[int, bool, bool]) -> bool:
    _, joins_left, joins_right = entry
    if joins_left and first > 0 and joins(text[first - 1]):
        return False
    return not (joins_right and end < len(text) and joins(text[end]))
