"""Word lists that are not fooled: entries are found disguised (``disguise``), at a cost that is that of one RE2 search.

Owns: where in a text an entry may be, and where one may be under way. The text has been through the views: look-alikes,
escapes and long runs are none of this module's business, but it counts on ``spelling.Clip`` for the width of a match.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import eq
from typing import Final

import ahocorasick

from extproc.policy.api import Strictness
from extproc.policy.disguise import IN_WORD_MIN, Entry, expression, key, read, units
from extproc.policy.rules import Presence, Rule, Sample
from extproc.policy.spelling import BARRIER, CLASSES, GAP_MAX, RUN_MAX, SOFT
from extproc.policy.words import WordRule, joins, places

_UNIT_WIDTH: Final = 2 * (RUN_MAX + GAP_MAX)
_CHUNK: Final = 15_000
"""Characters of expressions' entries that RE2 takes as one without running out of states."""
_GRAM: Final = 4
_GAPS: Final = " -\0\x1f"
_TABLE: Final = {ord(char): each[0] for each in CLASSES for char in each} | {ord(char): None for char in _GAPS}
_ASCII_TABLE: Final = bytes(ord(_TABLE.get(code) or chr(code)) if code < 128 else code for code in range(256))
_ASCII_GAPS: Final = _GAPS.encode()
_REPEATED: Final = re.compile(r"(.)\1+", re.DOTALL)


def _letters(text: str) -> str:
    """The letters of a text as ``Sample.spelling`` gives it, each as the first of its class."""
    if text.isascii():
        return text.encode().translate(_ASCII_TABLE, _ASCII_GAPS).decode()
    return text.translate(_TABLE)


def _key(text: str) -> str:
    """The key of such a text: what ``disguise.key`` says of its units, at once."""
    return _once(_letters(text))


def _once(letters: str) -> str:
    """Runs of one letter taken once."""
    return _REPEATED.sub(r"\1", letters) if any(map(eq, letters, letters[1:])) else letters


class _Places:
    """Where one of some entries may begin or be under way."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._parts: list[Presence] = []
        part: list[str] = []
        keys: set[str] = set()
        size = 0
        kept = sorted(set(entries), key=lambda each: key(list(each.units)))
        for entry in kept:
            keys.add(key(list(entry.units)))
            part.append(expression(entry))
            size += entry.letters
            if size > _CHUNK:
                self._parts.append(Presence("|".join(part), longest=True))
                part, size = [], 0
        if part:
            self._parts.append(Presence("|".join(part), longest=True))
        self._longest = max(map(len, keys), default=0)
        self.width = self._longest * _UNIT_WIDTH
        self._keys = ahocorasick.Automaton()
        for each in keys:
            self._keys.add_word(each, 0)
        self._gaps = frozenset(name for entry in kept for name in _before_gaps(entry))
        self._doubled = frozenset(
            key(list(entry.units))
            for entry in kept
            if entry.letters >= IN_WORD_MIN and len(entry.units[-1].letters) > 1
        )
        self._grams = frozenset(each[at : at + _GRAM] for each in keys for at in range(max(0, len(each) - _GRAM + 1)))

    def first(self, sample: Sample, start: int) -> tuple[int, int] | None:
        """The leftmost place at or after ``start`` that may be an entry, as far as it may reach."""
        spelling = sample.spelling
        best: tuple[int, int] | None = None
        offset = spelling.byte_at(start)
        for part in self._parts:
            begin, end = part.span(spelling.utf8, offset)
            if begin >= 0 and (best is None or (begin, -end) < (best[0], -best[1])):
                best = (begin, end)
        return (spelling.char_at(best[0]), spelling.char_at(best[1])) if best else None

    def pending(self, sample: Sample, start: int, bound: int) -> int:
        """The least place at or after ``start`` where an entry may be under way; ``bound`` if there is none before it."""
        text = sample.spelling.text
        end = len(text.rstrip(_GAPS))
        at = max(start, len(text) - self.width, text.rfind(BARRIER) + 1)
        bound, most = min(bound, end), bound
        if at >= bound:
            return most
        gap = text[end:].replace(SOFT, "")
        if len(gap) > GAP_MAX:
            return most
        letters = _letters(text[at:])
        whole = _once(letters)
        longest = self._longest
        if len(whole) >= _GRAM and whole[-_GRAM:] not in self._grams:
            if sample.ascii and len(whole) == len(letters) and text[end - _GRAM : end].isalnum():
                return most  # the middle of a word
            longest = _GRAM - 1
        for begin in reversed([place.start() for place in places(sample, at, bound)]):
            if begin < bound and text[begin] not in _GAPS:
                name = _key(text[begin:]) if text[at:begin].strip(_GAPS) else whole
                if len(name) > longest:
                    break  # so are those of all places before it
                if self._goes_on(name, gap):
                    most = begin
        return most

    def _goes_on(self, name: str, gap: str) -> bool:
        """Whether the key of a text may become an entry's; ``gap`` is what stands behind its last letter."""
        if not gap:
            return bool(self._keys.match(name))
        if name in self._gaps:
            return True
        return " " not in gap and (
            name in self._doubled or any(each != name for each in islice(self._keys.keys(name), 2))
        )


def _before_gaps(entry: Entry) -> Iterator[str]:
    """What stands before the gaps of an entry."""
    for number, unit in enumerate(entry.units):
        if unit.gap:
            yield key(list(entry.units[:number]))
        if unit.inner:
            yield key(list(entry.units[: number + 1]))


class HardenedWords:
    """A list of words and phrases as one rule that finds them disguised too: leftmost match, of those the longest.

    Args:
        label: what a match is called.
        words: entries that can be disguised (``hardened_rules`` sorts out the others).
        replacement: what stands in for a match.

    Raises:
        ValueError: an entry cannot be disguised.
    """

    __slots__ = ("_by_key", "_places", "label", "replacement", "width", "words")

    def __init__(self, label: str, words: Iterable[str], replacement: str) -> None:
        self.label = label
        self.replacement = replacement
        self.words = tuple(words)
        self._by_key: dict[str, list[Entry]] = {}
        # look-alikes of large and small letters may differ
        forms = {form for word in self.words for form in (word, word.casefold(), word.upper(), word.title())}
        for word in forms:
            entry = read(word)
            if entry is None:
                raise ValueError(f"{word!r} has no disguise: see hardened_rules")
            if entry not in self._by_key.setdefault(key(list(entry.units)), []):
                self._by_key[key(list(entry.units))].append(entry)
        self._places: _Places | None = None
        self.width = max(map(len, self._by_key), default=0) * _UNIT_WIDTH

    @property
    def entries(self) -> list[Entry]:
        """The entries that can be disguised."""
        return [entry for entries in self._by_key.values() for entry in entries]

    def find(self, sample: Sample, start: int, limit: int) -> tuple[int, int] | None:
        """See ``Rule.find``."""
        if self._places is None:  # needed only where something is found at all
            self._places = _Places(self.entries)
        while start < limit:
            place = self._places.first(sample, start)
            if place is None or place[0] >= limit:
                return None
            end = self._accept(sample, *place)
            if end:
                return place[0], end
            start = place[0] + 1
        return None

    def _accept(self, sample: Sample, first: int, last: int) -> int:
        """Where the longest entry ends that begins at ``first`` and ends by ``last``; 0: there is none."""
        text = sample.text
        inside = first > 0 and joins(text[first - 1])
        found = units(sample.spelling.text[first:last], first)
        name = key(found)
        for count in range(len(found), 0, -1):
            for entry in self._by_key.get(name[:count], ()):
                if inside and joins(entry.units[0].letters[0]):
                    continue
                for end in _ends(text, found[count - 1].letters, found[count - 1].end):
                    if end < len(text) and joins(text[end]) and joins(entry.units[-1].letters[-1]):
                        continue
                    cut = found[count - 1].letters[: len(found[count - 1].letters) - (found[count - 1].end - end)]
                    if entry.fits(text, [*found[: count - 1], found[count - 1]._replace(letters=cut, end=end)]):
                        return end
        return 0

    def pending(self, sample: Sample, start: int) -> int:
        """See ``Rule.pending``."""
        if self._places is None:
            self._places = _Places(self.entries)
        return self._places.pending(sample, start, len(sample.text))


def hardened_rules(label: str, words: Iterable[str], replacement: str) -> list[Rule]:
    """The rules for a list under ``match: hardened``: words as they may be disguised, and other entries as they are.

    Blanks at the ends of an entry and runs of blanks do not count. An entry that begins or ends in a sign ("c++") or has no
    letter must not look through ``spelling.Clip``, which would take some of its signs away.
    """
    listed = [word for word in words if word.strip()]
    literal = [word for word in listed if read(word) is None]
    rules: list[Rule] = []
    if len(literal) < len(listed):
        rules.append(HardenedWords(label, (word for word in listed if read(word) is not None), replacement))
    if literal:
        rules.append(WordRule(label, literal, replacement, Strictness.FOLDED))
    return rules


def _ends(text: str, letters: str, end: int) -> Iterable[int]:
    """Where a unit may end: signs at its end may stand for themselves, or for letters."""
    kept = len(letters.rstrip("@$!"))
    if 0 < kept < len(letters) and text[end - 1] in "@$!":
        yield end - (len(letters) - kept)
    yield end


class HardenedBundle:
    """All such lists of a scanner as one: which may have a match at all, and where may one be under way.

    ``rules`` are the lists, each with a number of the caller's.
    """

    __slots__ = ("_numbers", "_places")

    def __init__(self, rules: Sequence[tuple[int, HardenedWords]]) -> None:
        self._numbers = tuple(number for number, _ in rules)
        self._places = _Places(entry for _, rule in rules for entry in rule.entries)

    def found(self, sample: Sample, start: int, limit: int) -> tuple[int, ...]:
        """Numbers of the lists that may have a match which begins in ``start <= s < limit``: all, or none."""
        place = self._places.first(sample, start)
        return self._numbers if place and place[0] < limit else ()

    def pending(self, sample: Sample, start: int, bound: int) -> int:
        """The least place at or after ``start`` where an entry of one of them may be under way, at most ``bound``."""
        return self._places.pending(sample, start, bound)
