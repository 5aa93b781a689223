"""Disguised words: how an entry of a word list may be written so that a reader still understands it.

Owns: what a disguise is. Digits and signs for letters that look alike ("p4$$"), letters repeated ("passssword"), signs
within a word ("pass-word"), and signs instead of the blanks of a phrase or nothing at all ("all_previous",
"allprevious"). Three things tell a disguise from a harmless word: ``Entry.fits`` is all of them.

Theory. The *key* of a text is its letters, each as the first of its class (``spelling.CLASSES``), runs of one class taken
once, gaps left out. A disguised entry has the entry's key, so a key finds the entries a text may be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from extproc.policy.folding import fold_all
from extproc.policy.rules import Sample, escape
from extproc.policy.spelling import CLASSES, GAP_MAX, RUN_MAX, SOFT

_CLASS: Final = {char: each[0] for each in CLASSES for char in each}
_MEMBERS: Final = {each[0]: each for each in CLASSES}
_SIGNS: Final = "@$!"
_UNIT: Final = re.compile(r"[^ \-\x00\x1f]")
IN_WORD_MIN: Final = 5
"""Letters an entry needs for signs within its words to be passed over."""
JOINED_MIN: Final = 8
"""Letters an entry needs for its words to be recognised without anything between them."""
_SWAP_MIN: Final = 8  # letters an entry needs for i and l to be the same
_SHORT: Final = 3  # up to so many letters, digits must be fewer than letters
_STRETCH: Final = 3  # a letter so many times in a row is no spelling
_SENTENCE: Final = re.compile(r"[.?!;:,]\s")


class Unit(NamedTuple):
    """Letters of one class in a row: the class, the letters, where they are, and the gap before them.

    ``inner``: there is a gap between them; ``wide``: it holds a blank.
    """

    name: str
    letters: str
    start: int
    end: int
    gap: str
    inner: str


def units(text: str, base: int = 0) -> list[Unit]:
    """The units of a text as ``Sample.spelling`` gives it; ``base`` is added to their places."""
    found: list[Unit] = []
    last = 0
    for match in _UNIT.finditer(text):
        at = match.start()
        char = match[0]
        name = _CLASS.get(char, char)
        gap = text[last:at].replace(SOFT, "") if found else ""
        last = at + 1
        if found and found[-1].name == name:
            before = found[-1]
            inner = max(before.inner, gap, key=len)
            found[-1] = Unit(name, before.letters + char, before.start, base + at + 1, before.gap, inner)
        else:
            found.append(Unit(name, char, base + at, base + at + 1, gap, ""))
    return found


def key(of: list[Unit]) -> str:
    """What disguises leave of a text."""
    return "".join(unit.name for unit in of)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry: its units, and how many letters it has."""

    units: tuple[Unit, ...]
    letters: int

    def fits(self, text: str, found: list[Unit]) -> bool:
        """Whether these units of a ``text``, which have the entry's key, are the entry, as it is or disguised."""
        pairs = list(zip(self.units, found, strict=True))
        if not all(self._gap(mine.gap, its.gap) and self._gap(mine.inner, its.inner) for mine, its in pairs):
            return False
        for before, (mine, its) in zip(found, pairs[1:], strict=False):
            if mine.gap == " " and _SENTENCE.search(text, before.end, its.start):
                return False
        return self._lengths(pairs) and self._letters(pairs)

    def _gap(self, mine: str, its: str) -> bool:
        """Whether what stands between two letters may stand there."""
        if mine:
            return len(its) <= GAP_MAX and (bool(its) or self.letters >= (JOINED_MIN if " " in mine else IN_WORD_MIN))
        return not its or (self.letters >= IN_WORD_MIN and " " not in its and len(its) < GAP_MAX)

    def _lengths(self, pairs: list[tuple[Unit, Unit]]) -> bool:
        """Whether no letter is missing, and letters too many are a disguise.

        In a long entry one too many is. Elsewhere ("good" is no "god") it must be two too many, or every letter doubled.
        """
        if any(not _least(mine) <= len(its.letters) <= _most(mine) for mine, its in pairs):
            return False
        stretched = [its for mine, its in pairs if len(its.letters) > len(mine.letters)]
        return (
            self.letters > IN_WORD_MIN
            or all(len(its.letters) >= _STRETCH for its in stretched)
            or all(len(its.letters) >= 2 * len(mine.letters) for mine, its in pairs)
        )

    def _letters(self, pairs: list[tuple[Unit, Unit]]) -> bool:
        """Letters must be the entry's own; a digit or sign stands for one of its class, if enough letters are left."""
        real = digits = signs = 0
        for mine, its in pairs:
            for place, char in enumerate(its.letters):
                own = mine.letters[place] if len(its.letters) == len(mine.letters) else char
                if char == own and char in mine.letters:
                    real += 1
                elif char.isalpha():
                    if self.letters < _SWAP_MIN or char not in "il":
                        return False
                    real += 1
                else:
                    digits += char.isdigit()
                    signs += not char.isdigit()
        if not digits + signs:
            return True
        return real > digits if self.letters <= _SHORT else real > 0


def _least(mine: Unit) -> int:
    return min(len(mine.letters), RUN_MAX) if mine.name.isascii() else len(mine.letters)


def _most(mine: Unit) -> int:
    if not mine.name.isascii():
        return len(mine.letters)
    return 2 * RUN_MAX if mine.inner else RUN_MAX


def read(word: str) -> Entry | None:
    """An entry of a word list; None if disguises make no sense for it: it begins or ends in a sign, or has one letter."""
    text = Sample(" ".join(fold_all(word).split()), closed=True).spelling.text
    found = units(text)
    letters = sum(len(unit.letters) for unit in found)
    if letters < 2 or text[0] in "- " or text[-1] in "- " or not any(char.isalpha() for char in text):
        return None
    if any(len(unit.gap) > GAP_MAX or len(unit.inner) > GAP_MAX for unit in found):
        return None
    return Entry(tuple(found), letters)


def expression(entry: Entry) -> str:
    """RE2 syntax for everything an entry may be disguised as, in a text as ``Sample.spelling`` gives it, and more."""
    return "".join(_parts(entry))


def _parts(entry: Entry) -> Iterator[str]:
    last = len(entry.units) - 1
    for number, unit in enumerate(entry.units):
        if number:
            yield _between(entry, unit.gap)
        if not unit.name.isascii():
            yield f"{escape(unit.name)}{{{len(unit.letters)}}}"
            continue
        members = _MEMBERS.get(unit.name, unit.name)
        one = f"[{''.join(map(escape, members))}]"
        inner = f"(?:{one}+{_between(entry, unit.inner)})?" if len(unit.letters) > 1 else ""
        if number == 0:
            begin = _edge(members, r"\b{}")
            yield begin + (f"{one}*" if last == 0 else f"{one}*(?:{_between(entry, unit.inner)}{one}+)?")
            yield f"{SOFT}?" if unit.name in "ai" else ""
        elif number == last:
            yield inner + one + "*" + _edge(members, r"{}\b")
        else:
            yield inner + one + "+"


def _edge(members: str, template: str) -> str:
    """A letter at the border of a word; a sign that stands for one has no such border."""
    plain = template.format(f"[{''.join(char for char in members if char not in _SIGNS)}]")
    signs = "".join(char for char in members if char in _SIGNS)
    return f"(?:{plain}|[{escape(signs)}])" if signs else plain


def _between(entry: Entry, gap: str) -> str:
    if gap:
        free = entry.letters >= (JOINED_MIN if " " in gap else IN_WORD_MIN)
        return "[ -]{0,3}" if free else "[ -]{1,3}"
    return "-{0,2}" if entry.letters >= IN_WORD_MIN else ""
