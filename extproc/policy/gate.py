r"""A gate: tells in one pass which of many expressions are worth running on a text.

Owns: the openers of a family of expressions. Every expression is an *opener*, which is short and telling (``ghp_``), and a
rest. A text without an opener has no match, and most texts have none.

Theory. With ``P(ab) = P(a) | a P(b)`` (see ``pattern``) a match is under way at the end of a text either within its opener,
which one small expression for all openers tells, or behind its whole opener: then the gate names its expression, which
tells by itself. So the answer is that of all expressions together, at the price of the few that are named.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import re2

from extproc.policy.pattern import parse, union
from extproc.policy.rules import Sample, compile_re2, pending

_MAX_MEM = 64 << 20


class Gate:
    """Openers, each with its number: its place in the sequence. Immutable."""

    __slots__ = ("_prefix", "_which")

    def __init__(self, openers: Sequence[str]) -> None:
        options = re2.Options()
        options.max_mem = _MAX_MEM
        options.log_errors = False
        which = re2.Set.SearchSet(options)
        for opener in openers:
            which.Add(opener)
        which.Compile()
        self._which = which._set.Match
        prefix = union([parse(opener) for opener in openers]).prefix
        self._prefix = compile_re2(f"(?:{prefix})\\z")._regexp.Match

    def found(self, sample: Sample, start: int) -> list[int]:
        """Numbers of the openers that occur at or after ``start``, perhaps of a few more."""
        text = sample.utf8 if start == 0 else sample.utf8[sample.byte_at(start) :]
        numbers: list[int] = self._which(text)
        return numbers

    def pending(self, sample: Sample, start: int) -> int:
        """The least place at or after ``start`` where an opener may be under way; the length of the sample if none is."""
        return pending(self._prefix, sample, start)


@lru_cache(maxsize=16)
def gate(openers: tuple[str, ...]) -> Gate:
    """The gate for these openers; one for all policies that look for the same, and for all reloads."""
    return Gate(openers)
