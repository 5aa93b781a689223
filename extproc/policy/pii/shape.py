"""The shape of a type of personal data: a bounded expression, a check, and what must or must not stand before it.

What stands before a value is not part of the match: the window keeps ``BEHIND`` characters of what it gave out, so a
word of context delays nothing and is the same however a stream is cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable
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

_LATIN: Final = "A-Za-z\u00c0-\u024f"


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape of a type.

    Args:
        pattern: RE2 syntax of bounded width; what it matches is a candidate.
        accept: the check of a candidate (see ``rules.Accept``).
        words: alternatives, of which one must stand in the ``NEAR`` characters before the value: whole words where the
            script has any, ASCII case does not count. What RE2 and Python read alike.
        unless: Python syntax of what may not stand directly before the value (``_DIRECTLY`` characters): it makes all
            of it a part of something else.
    """

    pattern: str
    accept: Accept | None = None
    words: str = ""
    unless: str = ""

    def rule(self, label: str, replacement: str) -> RegexRule:
        """The rule that looks for this shape."""
        if self.words or self.unless:
            return ShapeRule(label, self, replacement)
        return RegexRule(label, parse(self.pattern), replacement, self.accept)


class ShapeRule(RegexRule):
    """A regular expression whose match depends on what stands before it."""

    __slots__ = ("_near", "_somewhere", "_unless")

    def __init__(self, label: str, shape: Shape, replacement: str) -> None:
        super().__init__(label, parse(shape.pattern), replacement, shape.accept)
        self.behind = BEHIND
        self._unless = re.compile(f"(?:{shape.unless})\\Z") if shape.unless else None
        words = f"(?:{shape.words})"
        self._near = re.compile(f"(?ai)(?<![{_LATIN}]){words}(?![{_LATIN}])") if shape.words else None
        self._somewhere = compile_re2(f"(?i){words}") if shape.words else None

    def _refused(self, sample: Sample, first: int, last: int, limit: int) -> int:
        """See ``RegexRule``. Values without context are passed over up to the next context, not one by one."""
        text = sample.text
        if self._unless is not None and self._unless.search(text, max(0, first - _DIRECTLY), first):
            return last
        if self._near is None or self._somewhere is None or self._near.search(text, max(0, first - NEAR), first):
            return 0
        begin, end = search(self._somewhere, sample, max(0, first - NEAR))
        if begin < 0:
            return limit
        return end if begin >= first else first + 1


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
