"""Rules: what to look for in a text, and where a match may be under way at its end.

Owns: regular-expression rules, their validators and the sample of text they are run on. Knows nothing of windows,
policies' actions or traffic. Offsets are in characters of the sample; RE2 works on UTF-8 and is mapped back here.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, Protocol

import re2

from extproc.policy.pattern import MAX_WIDTH, Bounded, PatternError, union

if TYPE_CHECKING:
    from extproc.policy.gate import Gate

Accept = Callable[[str], int | tuple[int, int]]
"""A validator: how many leading characters of a candidate really are a match. 0: no match begins here; -n: none begins
in its first n characters either. A pair (from, to) with ``0 <= from < to``: only this part of the candidate is the match."""

_MAX_MEM: Final = 64 << 20
_ANCHORED: Final = re2._re2.RE2.Anchor.ANCHOR_START
_UNANCHORED: Final = re2._re2.RE2.Anchor.UNANCHORED


def _options(*, longest: bool = False) -> re2.Options:
    options = re2.Options()
    options.max_mem = _MAX_MEM
    options.never_capture = True
    options.longest_match = longest
    options.log_errors = False
    return options


def compile_re2(source: str, *, longest: bool = False) -> re2._Regexp:
    """Compile RE2 syntax with our memory budget.

    Raises:
        PatternError: RE2 refuses it; the text is RE2's own.
    """
    try:
        # not re2.compile: its cache would keep rules of old configurations alive
        return re2._Regexp(source, _options(longest=longest))
    except re2.error as error:
        text = error.args[0] if error.args else "refused by RE2"
        raise PatternError(text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)) from None


class Sample:
    """A text made ready for matching: encoded and case-folded once, whatever the number of rules.

    ``closed`` says that nothing can follow: the end of the sample is the end of the text.
    """

    __slots__ = ("_byte", "_char", "_folded", "_spelling", "ascii", "closed", "text", "utf8")

    def __init__(self, text: str, *, closed: bool) -> None:
        self.text = text
        self.closed = closed
        self.ascii = text.isascii()
        self.utf8 = text.encode()
        self._folded: str | None = None
        self._spelling: Sample | None = None
        self._char = self._byte = 0

    @property
    def folded(self) -> str:
        """The text case-folded and with every white space as a blank, character by character (same length)."""
        if self._folded is None:
            self._folded = fold(self.text)
        return self._folded

    @property
    def spelling(self) -> Sample:
        """The folded text with ``-`` for every sign but ``@ $ !``, which may stand for letters (same length)."""
        if self._spelling is None:
            text = self.folded.encode().translate(_SIGNS).decode()
            self._spelling = Sample(text if self.ascii else _SIGN.sub("-", text), closed=self.closed)
        return self._spelling

    def byte_at(self, char: int) -> int:
        """Byte offset of a character offset; costs the distance from the last one asked for."""
        if self.ascii:
            return char
        if char < self._char:
            self._byte -= len(self.text[char : self._char].encode())
        else:
            self._byte += len(self.text[self._char : char].encode())
        self._char = char
        return self._byte

    def char_at(self, byte: int) -> int:
        """Character offset of a byte offset; costs the distance from the last one asked for."""
        if self.ascii:
            return byte
        if byte < self._byte:
            self._char -= len(self.utf8[byte : self._byte].decode())
        else:
            self._char += len(self.utf8[self._byte : byte].decode())
        self._byte = byte
        return self._char


_BLANKS: Final = "\t\n\v\f\r\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_SIGN: Final = re.compile(r"[^\w\s@$!\x00-\x7f]")
_SIGNS: Final = bytes(
    ord("-") if 0x20 < code < 0x7F and not chr(code).isalnum() and chr(code) not in "@$!" else code
    for code in range(256)
)
_MICRO: Final = "\xb5"  # the one character of Latin-1 that folds to another alphabet


def _folded_byte(char: str) -> int:
    if char in _BLANKS:
        return ord(" ")
    folded = char.casefold()
    return ord(folded if len(folded) == 1 and folded <= "\xff" else char)


_LATIN_1: Final = bytes(_folded_byte(chr(code)) for code in range(256))
_GROWING: Final = re.compile(
    "(["
    + "".join(
        char for low, high in ((0x80, 0x600), (0x1E00, 0x2000), (0xFB00, 0xFB20)) for char in map(chr, range(low, high))
        if len(char.casefold()) > 1
    )
    + "])"
)  # fmt: skip
"""The characters that fold to several, as ß does."""


def fold(text: str) -> str:
    """Case-fold and blank white space without changing the length, each character by itself (no context)."""
    if text.isascii():
        return text.encode().translate(_LATIN_1).decode()
    if _MICRO not in text:
        with contextlib.suppress(UnicodeEncodeError):  # ten times faster than ``casefold``
            return text.encode("latin-1").translate(_LATIN_1).decode("latin-1")
    folded = text.casefold()
    if len(folded) != len(text):  # some character folds to several: those stay as they are
        parts = _GROWING.split(text)
        parts[::2] = [part.casefold() for part in parts[::2]]
        folded = "".join(parts)
    for blank in _BLANKS:
        if blank in folded:
            folded = folded.replace(blank, " ")
    return folded


class Rule(Protocol):
    """Something to look for. ``label`` names what was found (``{type}`` in replacements), ``width`` bounds a match."""

    label: str
    width: int
    replacement: str

    def find(self, sample: Sample, start: int, limit: int) -> tuple[int, int] | None:
        """What the leftmost candidate that begins in ``start <= s < limit`` matches, as (start, end).

        The match may be a part of its candidate, so it may itself begin at ``limit`` or later.
        None: there is none. An empty span ``(at, at)``: none begins before ``at``, which may lie beyond ``limit``.
        """
        ...

    def pending(self, sample: Sample, start: int) -> int:
        """The least ``s >= start`` at which a match may be under way; the length of the sample if none is."""
        ...


class RegexRule:
    """A regular expression of bounded width, optionally confirmed by a validator.

    ``behind`` is how many characters before a match may be looked at: one, for word boundaries. ``open_ended`` says that
    a match goes on behind its pattern (see ``extend``); ``gate`` that the rule is only run where its gate names it.
    """

    __slots__ = ("_accept", "_match", "_prefix", "behind", "label", "pattern", "replacement", "width")

    open_ended: bool = False
    gate: tuple[Gate, int] | None = None

    def __init__(self, label: str, pattern: Bounded, replacement: str, accept: Accept | None = None) -> None:
        self.label = label
        self.pattern = pattern
        self.replacement = replacement
        self.width = pattern.width
        self.behind = 1
        self._accept = accept
        self._match = compile_re2(pattern.source)._regexp.Match
        self._prefix = compile_re2(f"(?:{pattern.prefix})\\z")._regexp.Match

    def find(self, sample: Sample, start: int, limit: int) -> tuple[int, int] | None:
        """See ``Rule.find``. A candidate the validator refuses is passed over."""
        utf8, size, match = sample.utf8, len(sample.utf8), self._match
        while start < limit:
            first, last = match(_UNANCHORED, utf8, sample.byte_at(start), size)[0]
            if first < 0:
                return None
            if not sample.ascii:
                first, last = sample.char_at(first), sample.char_at(last)
            if first >= limit:
                return None
            after = self._refused(sample, first, last, limit)
            if after:
                start = after
                continue
            if self._accept is None:
                return first, last
            taken = self._accept(sample.text[first:last])
            if isinstance(taken, tuple):
                return first + taken[0], first + taken[1]
            if taken > 0:
                return first, first + taken
            start = first + max(1, -taken)
        return start, start

    def spans(self, sample: Sample, start: int, limit: int) -> Iterator[tuple[int, int]]:
        """What ``find`` says when it is asked again and again from where the last match ends.

        The last span is empty: no other candidate begins before it, or before ``limit``.
        """
        while start < limit:
            span = self.find(sample, start, limit)
            if span is None:
                break
            start = span[1]
            if span[0] < start:
                yield span
        yield max(start, limit), max(start, limit)

    def pending(self, sample: Sample, start: int) -> int:
        """See ``Rule.pending``."""
        return pending(self._prefix, sample, start)

    def extend(self, sample: Sample, end: int) -> int:
        """How far a match that ends at ``end`` goes on, whatever its length.

        Each character is decided by itself and the ``behind`` characters before it, so that nothing is held back for it.
        """
        return end

    def _refused(self, _sample: Sample, _first: int, _last: int, _limit: int) -> int:
        """Where to look on after the candidate from ``first`` to ``last``, if what stands before it forbids it; else 0."""
        return 0


def pending(prefix: Callable[..., list[tuple[int, int]]], sample: Sample, start: int) -> int:
    """Where what a prefix expression matches at the end of the sample begins, not before ``start``; else its length."""
    begin = prefix(_UNANCHORED, sample.utf8, sample.byte_at(start), len(sample.utf8))[0][0]
    return len(sample.text) if begin < 0 else sample.char_at(begin)


def search(expression: re2._Regexp, sample: Sample, start: int) -> tuple[int, int]:
    """The leftmost match at or after ``start``, as (start, end); (-1, -1) where there is none."""
    begin, end = expression._regexp.Match(_UNANCHORED, sample.utf8, sample.byte_at(start), len(sample.utf8))[0]
    return (-1, -1) if begin < 0 else (sample.char_at(begin), sample.char_at(end))


class Presence:
    """An expression of which it only matters whether, or at most where, a text has a match.

    ``longest``: of the matches that begin leftmost the longest counts.
    """

    __slots__ = ("_any",)

    def __init__(self, source: str, *, longest: bool = False) -> None:
        self._any = compile_re2(source, longest=longest)._regexp.Match

    def in_folded(self, sample: Sample, start: int) -> bool:
        """Whether it matches the folded text from ``start`` on."""
        text = (sample.folded if start == 0 else sample.folded[start:]).encode()
        found: int = self._any(_UNANCHORED, text, 0, len(text))[0][0]
        return found >= 0

    def within(self, text: str) -> bool:
        """Whether it matches this text, of which it sees every character beyond ASCII as a question mark."""
        return self.span(flat(text), 0)[0] >= 0

    def span(self, raw: bytes, start: int) -> tuple[int, int]:
        """The first match at or after ``start``; (-1, -1) if there is none."""
        found: tuple[int, int] = self._any(_UNANCHORED, raw, start, len(raw))[0]
        return found

    def begins(self, text: str, start: int) -> int:
        """Where the match that begins at ``start`` ends; ``start`` if none does. It looks no further than 4096 characters."""
        raw = flat(text[start : start + MAX_WIDTH])
        found: int = self._any(_ANCHORED, raw, 0, len(raw))[0][1]
        return start + max(found, 0)


def flat(text: str) -> bytes:
    """One byte a character, a question mark for what is not ASCII: offsets in it are offsets in the text."""
    return text.encode("ascii", "replace")


def escape(text: str) -> str:
    """RE2 syntax for a literal text."""
    return re2.escape(text)  # type: ignore[no-any-return]


class RegexBundle:
    """All regular expressions of a scanner as one: is there any match at all, and where may one be under way.

    ``rules`` are the expressions, each with a number of the caller's.
    """

    __slots__ = ("_any", "_each", "_numbers", "_prefix")

    def __init__(self, rules: Sequence[tuple[int, RegexRule]]) -> None:
        pattern = union([rule.pattern for _, rule in rules])
        self._any = compile_re2(pattern.source)._regexp.Match
        self._prefix = compile_re2(f"(?:{pattern.prefix})\\z")._regexp.Match
        self._numbers = tuple(number for number, _ in rules)
        self._each = re2._re2.Set(_UNANCHORED, _options())
        for _, rule in rules:
            self._each.Add(rule.pattern.source.encode())
        self._each.Compile()  # may use more memory than ``_any`` did, so it cannot fail where that did not

    def found(self, sample: Sample, start: int) -> Sequence[int]:
        """Numbers of the expressions that may have a match at or after ``start``."""
        begin: int = self._any(_UNANCHORED, sample.utf8, sample.byte_at(start), len(sample.utf8))[0][0]
        if begin < 0:
            return ()
        # RE2 names none where its memory does not suffice: then any may have one
        return [self._numbers[index] for index in self._each.Match(sample.utf8)] or self._numbers

    def pending(self, sample: Sample, start: int) -> int:
        """The least place at or after ``start`` where one of them may be under way."""
        return pending(self._prefix, sample, start)
