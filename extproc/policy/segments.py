"""Segments: which characters of a source stand behind the characters a view shows.

Owns: the offset map of a view, kept as runs. Most text is shown as it stands and costs one number; where a view changed
something, the lengths of the parts are kept, and added up only when a match has to be found in the source.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate


class Segment:
    """A stretch of text of which a view shows something else.

    ``sources`` and ``showns`` are the lengths of its parts before and after: by turns text as it stands (equal lengths)
    and a unit that is only matched as a whole, beginning with text as it stands. ``units``: all parts are such units.
    """

    __slots__ = ("_shown_ends", "_source_ends", "_step", "shown", "showns", "source", "sources")

    def __init__(self, sources: Iterable[int], showns: Iterable[int], *, units: bool = False) -> None:
        self.sources = list(sources)
        self.showns = list(showns)
        self.source = sum(self.sources)
        self.shown = sum(self.showns)
        self._step = 1 if units else 2
        self._source_ends: list[int] = []
        self._shown_ends: list[int] = []

    def span(self, at: int) -> tuple[int, int]:
        """Start and end in the source of what stands behind the shown character ``at`` (0 <= at < shown)."""
        if not self._shown_ends:
            self._source_ends = list(accumulate(self.sources))
            self._shown_ends = list(accumulate(self.showns))
        part = bisect_right(self._shown_ends, at)
        end = self._source_ends[part]
        start = end - self.sources[part]
        if self._step == 2 and part % 2 == 0:
            place = start + at - (self._shown_ends[part] - self.showns[part])
            return place, place + 1
        return start, end


def gone(length: int) -> Segment:
    """A stretch of which nothing is shown."""
    segment = Segment.__new__(Segment)
    segment.source, segment.shown = length, 0
    segment.sources, segment.showns = [length], [0]
    return segment


class Map:
    """All segments of one view that may still matter. Offsets count from the beginning of the text."""

    __slots__ = ("_forgotten", "_segments", "_starts", "shown", "source")

    def __init__(self) -> None:
        self._forgotten = 0
        self.shown = 0
        self.source = 0
        self._starts: list[int] = []  # shown offsets
        self._segments: list[tuple[int, Segment | None]] = []  # source offset; None: text as it stands

    @property
    def shift(self) -> int | None:
        """How far places in the source are behind those shown; None: that depends on the place."""
        return None if self._segments else self.source - self.shown

    @property
    def settled(self) -> bool:
        """Whether nothing shown so far will be asked for any more."""
        return self._forgotten == self.shown

    def same(self, length: int) -> None:
        """The next ``length`` characters are shown as they stand."""
        if self._segments and length and self._segments[-1][1] is not None:
            self._starts.append(self.shown)
            self._segments.append((self.source, None))
        self.shown += length
        self.source += length

    def add(self, segment: Segment) -> None:
        """The next stretch is shown otherwise."""
        if not segment.shown and self._forgotten == self.shown:
            self.source += segment.source
            return
        if not self._segments and self.shown:
            self._starts.append(0)
            self._segments.append((self.source - self.shown, None))
        self._starts.append(self.shown)
        self._segments.append((self.source, segment))
        self.shown += segment.shown
        self.source += segment.source

    def start(self, at: int) -> int:
        """Where in the source the shown character ``at`` begins; behind the last one: all that has been shown."""
        return self.source if at >= self.shown else self._span(at)[0]

    def end(self, at: int) -> int:
        """Where in the source the shown character before ``at`` ends."""
        return self._span(at - 1)[1]

    def runs(self, start: int, end: int) -> list[tuple[int, int]]:
        """What stands behind the shown characters from ``start`` to ``end``: (start, end) without what is between them."""
        if not self._segments:
            return [(self._span(start)[0], self._span(end - 1)[1])]
        found: list[tuple[int, int]] = []
        for at in range(start, end):
            begin, stop = self._span(at)
            if found and begin <= found[-1][1]:
                found[-1] = found[-1][0], max(stop, found[-1][1])
            else:
                found.append((begin, stop))
        return found

    def _span(self, at: int) -> tuple[int, int]:
        if not self._segments:
            place = at + self.source - self.shown
            return place, place + 1
        index = bisect_right(self._starts, at) - 1
        source, segment = self._segments[index]
        inner = at - self._starts[index]
        if segment is None:
            return source + inner, source + inner + 1
        start, end = segment.span(inner)
        return source + start, source + end

    def forget(self, at: int) -> None:
        """No shown character before ``at`` will be asked for any more."""
        self._forgotten = at
        if at >= self.shown:  # from here on the text is shown as it stands, until the next segment
            self._starts.clear()
            self._segments.clear()
            return
        index = bisect_right(self._starts, at) - 1
        if index > 0:
            del self._starts[:index], self._segments[:index]
