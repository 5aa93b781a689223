"""Spelling: views for word lists. Long runs of one character shortened, and letters that stand apart put together.

Owns: ``Clip``, which shows no more than a few of one character in a row, so that a stretched word has a bounded width;
and ``Spelled``, which shows nothing but words spelled out letter by letter ("p a s s", "p.a.s.s"), as words.
"""

from __future__ import annotations

import re
from itertools import repeat
from typing import Final

from extproc.policy.rules import Presence, escape, flat
from extproc.policy.segments import Segment, gone

CLASSES: Final = ("il1!", "o0", "e3", "a4@", "s5$", "t7", "b8", "g96", "z2")
"""Characters that stand for one another, the letter that names them first."""
RUN_MAX: Final = 4
GAP_MAX: Final = 3
BARRIER: Final = "\0"
"""What a view shows between things that do not belong together. No rule matches across it."""
SOFT: Final = "\x1f"
"""Shown behind an ``a`` or ``i`` that may be a word by itself before a word spelled out."""


def _runs() -> dict[str, int]:
    """Classes of characters, and how many of each in a row are shown."""
    single = [chr(code) for code in range(ord("a"), ord("z") + 1) if not any(chr(code) in each for each in CLASSES)]
    letters = [re.escape(each + each.upper()) for each in (*CLASSES, *single)]
    gaps = (r"\s", r"\-_.,:;*~/\\|'\"`^+=#&%()<>\[\]{}")
    return {**dict.fromkeys(letters, RUN_MAX), **dict.fromkeys(gaps, GAP_MAX)}


_LONG_RUN: Final = Presence("|".join(f"[{each}]{{{most}}}[{each}]+" for each, most in _runs().items()))


_CLASS_OF: Final = bytes(
    ord(next((each[0] for each in CLASSES if chr(code).lower() in each), chr(code).lower())) for code in range(128)
) + bytes(range(128, 256))
_HELD_MAX: Final = 4096
_RUN: Final = re.compile(rb"([a-z0-9])\1\1|[^a-z0-9]{3}")
"""What every run has in it that is too long or may become so."""


class Clip:
    """Shows at most four of one letter (or of those that look like it) in a row, and three of a blank or of punctuation.

    The last letter shown stands for all that follow it, so a match that ends in it covers them.
    """

    __slots__ = ("_before", "_held")

    def __init__(self) -> None:
        self._before = b""  # the last characters, as left context
        self._held = ""  # a letter that may stand for more to come

    @property
    def waiting(self) -> bool:
        """Whether some of the text is held until more of it is known."""
        return bool(self._held)

    def show(self, text: str, *, closed: bool) -> tuple[str, Segment | None]:
        """The text without what is too much."""
        text = self._held + text
        before = len(self._before)
        raw = self._before + flat(text)
        if not _RUN.search(raw.translate(_CLASS_OF)):
            self._held, self._before = "", raw[-RUN_MAX:]
            return text, None
        length = len(text) if closed else self._hold(raw, before) - before
        self._held = text[length:]
        text = text[:length]
        self._before = raw[: before + length][-RUN_MAX:]
        start, end = _LONG_RUN.span(raw[: before + length] if self._held else raw, 0)
        if start < 0:
            return text, None
        return self._cut(text, raw[: before + length], before, (start, end))

    @staticmethod
    def _hold(raw: bytes, before: int) -> int:
        """How much of the text is decided: not a fourth letter like the three before it at the end, nor those behind it."""
        tail = raw[-RUN_MAX:].translate(_CLASS_OF)
        if tail.count(tail[:1]) < RUN_MAX or _is_gap(tail[0]):
            return len(raw)
        start = len(raw.translate(_CLASS_OF).rstrip(tail[:1])) + RUN_MAX - 1
        return start if before <= start and len(raw) - start <= _HELD_MAX else len(raw)

    @staticmethod
    def _cut(text: str, raw: bytes, before: int, run: tuple[int, int]) -> tuple[str, Segment]:
        sources: list[int] = []
        showns: list[int] = []
        parts: list[str] = []
        at = 0
        start, end = run[0] - before, run[1] - before
        while start >= -before:
            gap = _is_gap(raw[start + before])
            most = start + (GAP_MAX if gap else RUN_MAX - 1)
            one = int(not gap and most >= 0)  # the letter that stands for the rest
            cut = max(most, 0)
            parts.append(text[at:cut])
            if one:  # the run's last: at a sign the next word may begin. Of a run that is too long to hold, its fourth
                parts.append(text[end - 1 if end - most <= _HELD_MAX else cut])
            sources += (cut - at, end - cut)
            showns += (cut - at, one)
            at = end
            start, end = (each - before for each in _LONG_RUN.span(raw, end + before))
        parts.append(text[at:])
        sources.append(len(text) - at)
        showns.append(len(text) - at)
        return "".join(parts), Segment(sources, showns)


def _is_gap(code: int) -> bool:
    return not chr(code).isalnum() and code not in b"@$!"


_LETTER: Final = r"(?:[^\W_]|[@$!])"
_ALONE: Final = rf"{_LETTER}(?=[^\w@$!]|_)"
_GAP: Final = rf"(?:[^\w@$!]|_){{1,{GAP_MAX}}}"
_START: Final = re.compile(rf"(?<![^\W_])(?<![@$!]){_ALONE}(?={_GAP}{_ALONE}{_GAP}{_ALONE})")
_MAYBE: Final = re.compile(
    rf"(?<![^\W_])(?<![@$!]){_LETTER}(?:(?:[^\w@$!]|_){{0,{GAP_MAX}}}"
    rf"|{_GAP}{_LETTER}(?:[^\w@$!]|_){{0,{GAP_MAX}}}|{_GAP}{_LETTER}{_GAP}{_LETTER})\Z"
)
"""What may yet become the start of a word spelled out."""
_NEXT: Final = re.compile(rf"({_GAP})({_ALONE})")
_NEXT_MAYBE: Final = re.compile(rf"(?:[^\w@$!]|_){{0,{GAP_MAX}}}{_LETTER}?\Z")
_SINGLE: Final = re.compile(r"(?<![0-9A-Za-z@$!])[0-9A-Za-z@$!](?![0-9A-Za-z@$!])")
"""A letter that stands alone in ASCII, or may when more is known."""
_SEARCH: Final = 3 * (GAP_MAX + 1) + 1
_THREE: Final = Presence(
    r"(?:^|[^0-9A-Za-z@$!])(?:[0-9A-Za-z@$!?][\x00- \"#%-/:-?\[-`{-\x7f]{1,3}){2}[0-9A-Za-z@$!?](?:$|[^0-9A-Za-z@$!])"
)
_MANY: Final = {gap: Presence(f"(?:{escape(gap)}[0-9A-Za-z@$!])+") for gap in " .-_*\n\t,/|~+'"}
"""Runs whose gaps are all this one character."""


class Spelled:
    """Shows words spelled out letter by letter, one after the other, and nothing else.

    Three letters that stand alone, with at most three blanks or signs between them, begin one. Where a gap is not like
    the first one and holds a blank, a blank is shown: another word begins.
    """

    __slots__ = ("_held", "_lengths", "_norm", "_shown", "_sources")

    def __init__(self) -> None:
        self._held = "\n"  # a character of left context, and what is not decided
        self._norm = ""  # the first gap of the run under way
        self._shown: list[str] = []
        self._lengths: list[int] = []  # of units shown
        self._sources: list[int] = []  # and of what stands behind them

    @property
    def waiting(self) -> bool:
        """Whether some of the text is held until more of it is known."""
        return len(self._held) > 1 or bool(self._norm)

    def skim(self, text: str) -> bool:
        """See ``lenses.Stage``: no letter of it stands alone."""
        if self._norm or len(self._held) > 1 or not text.isascii() or _SINGLE.search(self._held + text, 1):
            return False
        self._held = text[-1]
        return True

    def show(self, text: str, *, closed: bool) -> tuple[str, Segment | None]:
        """The words that the next piece decides."""
        text = self._held + text
        length = len(text)
        if closed:
            text += "\n"  # nothing follows: as good as a blank
        raw = flat(text)
        self._shown, self._lengths, self._sources = [], [], []
        at = 1
        while at < length:
            found = (
                self._run(text, at, closed=closed) if self._norm else self._seek(text, raw, at, length, closed=closed)
            )
            if found < 0:
                break
            at = found
        if closed and self._norm:
            self._end()
        self._held = text[at - 1 : length]
        if len(self._shown) == 1 and not self._shown[0]:
            return "", gone(self._sources[0])
        return "".join(self._shown), Segment(self._sources, self._lengths, units=True)

    def _seek(self, text: str, raw: bytes, at: int, length: int, *, closed: bool) -> int:
        """Pass over what is not spelled out; returns where the next run has its second gap or -1: wait for more."""
        begin, _ = _THREE.span(raw, at - 1)
        start = None if begin < 0 else _START.search(text, max(at, begin))
        if start:
            first = start.end()
            self._norm = self._first_gap(text, first)
            letter = text[first - 1]
            self._pass(first - 1 - at)
            self._show(letter + SOFT if letter in "aiAI" and not self._norm.strip() else letter, 1)
            return first
        maybe = None if closed else _MAYBE.search(text, max(at, length - _SEARCH))
        end = maybe.start() if maybe else length
        self._pass(end - at)
        return end if end > at else -1

    @staticmethod
    def _first_gap(text: str, at: int) -> str:
        """What stands between the letters of a run whose first letter ends at ``at``."""
        first = _NEXT.match(text, at)
        second = _NEXT.match(text, first.end()) if first else None
        if not first or not second:
            return "\n"
        # in "I p.a.s.s" the first letter is a word of its own
        return second[1] if not first[1].strip() and not any(map(str.isspace, second[1])) else first[1]

    def _run(self, text: str, at: int, *, closed: bool) -> int:
        """Show the next letters of a run, or end it; -1: wait for more."""
        many = _MANY.get(self._norm)
        # but for the last letter, of which it is not known here whether it stands alone
        end = many.begins(text, at) - 2 if many else 0
        if end > at:
            letters = text[at + 1 : end : 2]
            self._shown.append(letters)
            self._lengths += (0, 1) * len(letters)  # the gap, the letter
            self._sources += repeat(1, 2 * len(letters))
            return end
        following = _NEXT.match(text, at)
        if following:
            gap, letter = following.groups()
            blank = gap != self._norm and any(each.isspace() for each in gap)
            self._pass(len(gap))
            self._show(f" {letter}" if blank else letter, 1)
            return following.end()
        if not closed and _NEXT_MAYBE.match(text, at):
            return -1
        self._end()
        return at

    def _end(self) -> None:
        self._norm = ""
        self._show(BARRIER, 0)

    def _pass(self, count: int) -> None:
        if count:
            self._show("", count)

    def _show(self, text: str, source: int) -> None:
        self._shown.append(text)
        self._lengths.append(len(text))
        self._sources.append(source)
