"""The streaming window: redact a text that arrives in pieces exactly as if it had come whole.

Theory of operation. The window keeps the tail of one text. After each piece it asks the scanner for ``limit``, the least
place where a match may still be under way; every match that begins before it is decided by what has arrived, and every
character before it either belongs to such a match or to none. So characters up to ``limit`` (or up to the end of a match
that reaches beyond it) are given out as operations, in order and exactly once; the rest is held back. Of what was given
out, as many characters stay as left context as the rules look at. Nothing is ever given out because time has passed.
A match that is a part of a candidate may begin beyond ``limit`` and waits until the limit has passed its beginning:
then all matches that begin there or before it are known, and their order is that of the whole text.

Cursors count from the beginning of the buffer:
``_decided``  no undecided match begins before it; the next search for one starts here;
``_emitted``  operations cover the text up to here; ahead of ``_decided`` while a cluster of matches is open;
``_ahead``    where the next match of a rule may begin that ends beyond ``_decided`` (matches of one rule do not overlap);
              Below zero: where an open-ended match stands that may go on with what arrives (see ``Match.more``);
``_waiting``  decided matches that begin at ``_decided`` or later.
"""

from __future__ import annotations

from extproc.policy.api import Policy, Tally
from extproc.policy.rules import Sample
from extproc.policy.scanner import Match, Op, Scanner, blocking, in_order, lay


class Window:
    """One text under way. ``feed`` pieces, then ``close``; the operations returned cover the text exactly once.

    ``blocked`` is the policy that ended it: operations then stop where its match begins, and nothing may follow.
    """

    __slots__ = ("_ahead", "_buffer", "_decided", "_emitted", "_scanner", "_tally", "_waiting", "blocked")

    def __init__(self, scanner: Scanner, tally: Tally) -> None:
        self._scanner = scanner
        self._tally = tally
        self._buffer = ""
        self._decided = self._emitted = 0
        self._ahead: dict[int, int] = {}
        self._waiting: list[Match] = []
        self.blocked: Policy | None = None

    @property
    def held(self) -> int:
        """Characters that have arrived and are not yet covered by operations."""
        return len(self._buffer) - self._emitted

    def feed(self, text: str) -> list[Op]:
        """Take the next piece; returns the operations that are decided now."""
        if not text or self.blocked:
            return []
        self._buffer += text
        sample = Sample(self._buffer, closed=False)
        return self._advance(sample, self._scanner.pending(sample, self._decided))

    def close(self) -> list[Op]:
        """The text has ended; returns the operations for all that was held back."""
        if self.blocked or not self._buffer:
            return []
        sample = Sample(self._buffer, closed=True)
        return self._advance(sample, len(self._buffer))

    def _advance(self, sample: Sample, limit: int) -> list[Op]:
        matches = self._due(self._scanner.matches(sample, self._decided, limit, self._ahead), limit)
        ops: list[Op] = []
        done = self._emitted
        if matches:
            stop = blocking(self._scanner, matches)
            for match in matches if stop < 0 else matches[: stop + 1]:
                if not match.more:
                    self._tally.add(self._scanner.policy(match), self._scanner.rule(match).label)
            done = lay(self._scanner, matches if stop < 0 else matches[:stop], done, ops)
            if stop >= 0:
                limit = matches[stop].start
                self.blocked = self._scanner.policy(matches[stop])
        if limit > done:
            ops.append(Op(limit - done))
            done = limit
        self._emitted = done
        self._decided = limit
        self._trim(limit - self._scanner.behind)
        return ops

    def _due(self, matches: list[Match], limit: int) -> list[Match]:
        """Of these matches and those that waited, the ones that begin before ``limit``; the others wait."""
        if not self._waiting and (not matches or matches[-1].start < limit):
            return matches
        matches = in_order([*self._waiting, *matches])
        self._waiting = [each for each in matches if each.start >= limit]
        return matches[: len(matches) - len(self._waiting)]

    def _trim(self, cut: int) -> None:
        if cut > 0:
            self._buffer = self._buffer[cut:]
            self._decided -= cut
            self._emitted -= cut
            if self._ahead:
                self._ahead = {order: place - cut for order, place in self._ahead.items() if place > cut}
            self._waiting = [each._replace(start=each.start - cut, end=each.end - cut) for each in self._waiting]
