"""The shape of a type of personal data: a bounded expression, a check, and what must or must not stand before it.

What stands before a value is not part of the match: the window keeps ``BEHIND`` characters of what it gave out, so a
word of context delays nothing and is the same however a stream is cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Final

from extproc.policy.pattern import parse
from extproc.policy.rules import Accept, RegexRule, Sample, compile_re2, search

NEAR: Final = 40
"""How many characters before a value its context may begin."""
BEHIND: Final = NEAR + 1
"""One more, for the word boundary before the context."""
_DIRECTLY: Final = 6
"""How many characters before a value count as standing directly before it."""

Walk = Callable[[str, int], "re.Match[str] | None"]
"""Finds the first candidate at or after a place. It must see of the text what RE2 sees."""

_LATIN: Final = "A-Za-z\u00c0-\u024f"


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape of a type.

    Args:
        pattern: RE2 syntax of bounded width; what it matches is a candidate.
        accept: the check of a candidate (see ``rules.Accept``).
        words: alternatives, of which one must stand in the ``NEAR`` characters before the value: whole words where the
            script has any, ASCII case does not count. What RE2 and Python read alike.
        unless: alternatives in Python syntax, each of one width, of what may not stand directly before the value
            (``_DIRECTLY`` characters): it makes all of it a part of something else.
        walk: whether Python's ``re`` reads the pattern as RE2 does (see ``Walk``) and never goes back far in it: then it
            finds one candidate after the other, several times faster than RE2 does.
        skip: where the next candidate may begin that the check takes, in a text and behind the beginning of one that it
            refused; more than one character on only where all between them are refused, too.
    """

    pattern: str
    accept: Accept | None = None
    words: str = ""
    unless: str = ""
    walk: bool = True
    skip: Callable[[str, int], int] | None = None

    def rule(self, label: str, replacement: str) -> RegexRule:
        """The rule that looks for this shape."""
        return ShapeRule(label, self, replacement)


class ShapeRule(RegexRule):
    """A regular expression whose match depends on what stands before it."""

    __slots__ = ("_anywhere", "_harmless", "_near", "_skip", "_somewhere", "_unless", "_walk")

    def __init__(self, label: str, shape: Shape, replacement: str) -> None:
        super().__init__(label, parse(shape.pattern), replacement, shape.accept)
        self.behind = BEHIND if shape.words or shape.unless else 1
        self._unless = (
            re.compile("|".join(f"(?<={each})" for each in shape.unless.split("|"))) if shape.unless else None
        )
        ends = "|".join(_LAST.findall(shape.unless))
        self._harmless = frozenset(char for char in map(chr, range(128)) if not re.fullmatch(ends, char))
        words = f"(?:{shape.words})"
        self._near = re.compile(f"(?ai)(?<![{_LATIN}]){words}(?![{_LATIN}])") if shape.words else None
        self._somewhere = compile_re2(f"(?i){words}") if shape.words else None
        self._skip = shape.skip
        self._walk = _walk(shape.pattern) if shape.walk else None
        self._anywhere = shape.pattern.isascii() and not _PARTLY.search(shape.pattern)

    def spans(self, sample: Sample, start: int, limit: int) -> Iterator[tuple[int, int]]:
        """See ``RegexRule.spans``."""
        walk = self._walk if sample.ascii or self._anywhere else None
        if walk is None:
            yield from super().spans(sample, start, limit)
            return
        text, accept, near, skip = sample.text, self._accept, self._near, self._skip
        unless, harmless = self._unless.match if self._unless else None, self._harmless
        while start < limit:
            found = walk(text, start)
            if found is None:
                break
            first, last = found.span()
            if first >= limit:
                break
            if unless and first and text[first - 1] not in harmless and unless(text, first):
                start = last
                continue
            if near and not near.search(text, max(0, first - NEAR), first):
                start = self._next_context(sample, first, limit)
                continue
            taken = last - first if accept is None else accept(found[0])
            if isinstance(taken, tuple):
                yield first + taken[0], first + taken[1]
                start = first + taken[1]
            elif taken > 0:
                start = first + taken
                yield first, start
            else:
                start = skip(text, first) if skip and not taken else first + max(1, -taken)
        yield max(start, limit), max(start, limit)

    def _refused(self, sample: Sample, first: int, last: int, limit: int) -> int:
        """See ``RegexRule``. Values without context are passed over up to the next context, not one by one."""
        if self._unless is not None and self._unless.match(sample.text, first):
            return last
        if self._near is None or self._near.search(sample.text, max(0, first - NEAR), first):
            return 0
        return self._next_context(sample, first, limit)

    def _next_context(self, sample: Sample, first: int, limit: int) -> int:
        """Where to look on behind a candidate at ``first`` without context."""
        if self._somewhere is None:
            return first + 1
        begin, end = search(self._somewhere, sample, max(0, first - NEAR))
        if begin < 0:
            return limit
        return end if begin >= first else first + 1


_PARTLY: Final = re.compile(r"\\[sS]|\(\?i|\\x\{(?!a0\})")
"""What RE2 and Python (``re.ASCII``) read alike only in ASCII: to RE2 a long s is an s if case does not count."""
_LAST: Final = re.compile(r"(\[[^]]*\]|\\?.)(?=\||\Z)")
"""The last character of each alternative of ``Shape.unless``."""
_CODE: Final = re.compile(r"\\x\{([0-9A-Fa-f]+)\}")


def _walk(pattern: str) -> Walk:
    """The pattern as Python has it."""
    return re.compile(_CODE.sub(lambda code: f"\\U{int(code[1], 16):08x}", pattern), re.ASCII).search


def checked(name: str) -> Accept:
    """The whole candidate, if the module of python-stdnum with this name (as in ``pl.pesel``) holds it valid."""
    valid: list[Callable[[str], bool]] = []

    def accept(candidate: str) -> int:
        if not valid:
            valid.append(import_module(f"stdnum.{name}").is_valid)
        return len(candidate) if valid[0](candidate) else 0

    return accept


_SEPARATORS: Final = str.maketrans("", "", " -./\xa0")


def whole(valid: Callable[[str], bool]) -> Accept:
    """The whole candidate, if ``valid`` says so of it without separators."""

    def accept(candidate: str) -> int:
        return len(candidate) if valid(candidate.translate(_SEPARATORS)) else 0

    return accept


def no_longer_than(length: int) -> Accept:
    """The whole candidate unless it is longer than this: then it is a piece of something else."""
    return lambda candidate: len(candidate) if len(candidate) <= length else -len(candidate)
