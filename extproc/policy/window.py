"""The streaming window: redact a text that arrives in pieces exactly as if it had come whole.

Theory of operation. After each piece a reader says which matches are decided now, and ``limit``, the least place where
another one may still begin; so every character before it either belongs to a match that is known or to none. Characters up
to ``limit`` (or up to the end of a match that reaches beyond it) are given out as operations, in order and exactly once; the
rest is held back. Nothing is ever given out because time has passed.
"""

from __future__ import annotations

from typing import Protocol

from extproc.policy.api import Policy, Tally
from extproc.policy.scanner import Entries, Match, Op, Reader, blocking, lay


class Sight(Entries, Protocol):
    """What looks for matches: a scanner, or several behind lenses."""

    def reader(self) -> Reader:
        """Something to read one text with that arrives in pieces."""
        ...


class Window:
    """One text under way. ``feed`` pieces, then ``close``; the operations returned cover the text exactly once.

    ``blocked`` is the policy that ended it: operations then stop where its match begins, and nothing may follow.
    """

    __slots__ = ("_arrived", "_emitted", "_reader", "_sight", "_tally", "blocked")

    def __init__(self, sight: Sight, tally: Tally) -> None:
        self._sight = sight
        self._tally = tally
        self._reader = sight.reader()
        self._arrived = 0
        self._emitted = 0  # operations cover the text up to here
        self.blocked: Policy | None = None

    @property
    def held(self) -> int:
        """Characters that have arrived and are not yet covered by operations."""
        return self._arrived - self._emitted

    def feed(self, text: str) -> list[Op]:
        """Take the next piece; returns the operations that are decided now."""
        if not text or self.blocked:
            return []
        self._arrived += len(text)
        return self._advance(*self._reader.read(text, closed=False))

    def close(self) -> list[Op]:
        """The text has ended; returns the operations for all that was held back."""
        if self.blocked or not self._arrived:
            return []
        return self._advance(*self._reader.read("", closed=True))

    def _advance(self, matches: list[Match], limit: int) -> list[Op]:
        ops: list[Op] = []
        done = self._emitted
        if matches:
            stop = blocking(self._sight, matches)
            for match in matches if stop < 0 else matches[: stop + 1]:
                if not match.more:
                    self._tally.add(self._sight.policy(match), self._sight.rule(match).label)
            done = lay(self._sight, matches if stop < 0 else matches[:stop], done, ops)
            if stop >= 0:
                limit = matches[stop].start
                self.blocked = self._sight.policy(matches[stop])
        if limit > done:
            ops.append(Op(limit - done))
            done = limit
        self._emitted = done
        return ops
