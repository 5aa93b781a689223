"""Lenses: several views of one text, each with the rules that look through it, read together as one.

Owns: which rules look through which lens, and what matches in views mean for the text itself. A lens is a node of a tree:
its stages change what its parent shows, a scanner looks at the result, further lenses show more. A match is brought back to
the text through the maps of all stages on the way; the text is decided as far as every lens has decided it. A text without
anything to see through passes a lens unchanged, at the price of a glance.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Protocol

from extproc.policy.api import Policy, Strictness
from extproc.policy.encoded import Decode, Tags
from extproc.policy.escapes import Unescape
from extproc.policy.folding import Fold, plain
from extproc.policy.hardened import HardenedWords
from extproc.policy.rules import Rule, Sample
from extproc.policy.scanner import Match, Reader, Ruled, Scanner, Seeker, in_order
from extproc.policy.segments import Map, Segment
from extproc.policy.spelling import Clip, Spelled


class Stage(Protocol):
    """An incremental view of a text. What it shows must not depend on how the text is cut.

    A stage that shows little may have ``skim(text)``: whether, at a glance, nothing is shown of the next piece and nothing
    of it waits. Then the stage has taken it; else nothing has happened, and ``show`` must be given the piece.
    """

    @property
    def waiting(self) -> bool:
        """Whether some of the text is held until more of it is known."""
        ...

    def show(self, text: str, *, closed: bool) -> tuple[str, Segment | None]:
        """What is shown of the text decided now, and what stands behind it; None: that text as it stands."""
        ...


@dataclass(frozen=True, slots=True)
class Lens:
    """A view (stages, one behind the other), the rules that see it, and lenses that look at what it shows.

    ``orders``: the scanner's rules by their order among all. ``quiet``: ASCII without any of these characters is shown as
    it stands.
    """

    stages: tuple[Callable[[], Stage], ...] = ()
    scanner: Scanner | None = None
    orders: tuple[int, ...] = ()
    lenses: tuple[Lens, ...] = ()
    quiet: str = ""

    @property
    def needed(self) -> bool:
        """Whether any rule looks through it or through a lens behind it."""
        return self.scanner is not None or bool(self.lenses)


@cache
def _search(chars: str) -> Callable[[str], object]:
    """Finds one of these characters."""
    return re.compile(f"[{re.escape(chars)}]").search


class _Reading:
    """A lens at work on one text."""

    __slots__ = (
        "_children",
        "_idle",
        "_lens",
        "_limit",
        "_loud",
        "_maps",
        "_may_wait",
        "_seeker",
        "_shift",
        "_skim",
        "_stages",
    )

    def __init__(self, lens: Lens) -> None:
        self._lens = lens
        self._stages = [make() for make in lens.stages]
        self._maps = [Map() for _ in lens.stages]
        self._loud = _search(lens.quiet) if lens.quiet else None
        self._skim: Callable[[str], bool] | None = getattr(self._stages[0], "skim", None) if self._stages else None
        self._may_wait = [stage for stage in self._stages if vars(type(stage))["waiting"]]
        self._seeker = Seeker(lens.scanner) if lens.scanner else None
        self._children = [_Reading(each) for each in lens.lenses]
        self._limit = 0
        self._shift: int | None = 0  # of all maps together; None: it depends on the place
        self._idle = 0  # characters shown as they stand that no map has been told of

    def read(self, text: str, *, closed: bool) -> tuple[list[Match], int]:
        """Matches and what is decided, both in the places of what this lens looks at."""
        if not text and not closed:
            return [], self._limit
        shown = self._show(text, closed=closed) if self._stages else text
        matches: list[Match] = []
        limit = -1
        if self._seeker:
            found, limit = self._seeker.read(shown, closed=closed)
            if found:
                orders = self._lens.orders
                matches = [match._replace(order=orders[match.order]) for match in found]
        for child in self._children:
            if not closed and child.passes(shown):
                limit = child._limit if limit < 0 else min(limit, child._limit)
                continue
            found, reached = child.read(shown, closed=closed)
            if found:
                matches = matches + found
            limit = reached if limit < 0 else min(limit, reached)
        if self._shift is None:
            matches, limit = self._back(matches, limit)
        elif self._shift:
            shift = self._shift
            matches = [match._replace(start=match.start + shift, end=match.end + shift) for match in matches]
            limit += shift
        self._limit = limit
        return matches, limit

    def passes(self, text: str) -> bool:
        """Whether nothing is shown of the next piece, at a glance; then it has been taken, and all of it is decided."""
        if not text:
            return True
        if self._skim is None or self._shift is None or self._idle or not self._maps[0].settled or not self._skim(text):
            return False
        self._maps[0].source += len(text)
        self._shift += len(text)
        self._limit += len(text)
        return True

    def _show(self, text: str, *, closed: bool) -> str:
        if self._loud and self._shift is not None and plain(text) and not self._loud(text) and not self._waits():
            self._idle += len(text)
            return text
        shown, segment = self._stages[0].show(text, closed=closed)
        if self._shift is not None and not closed:
            if segment is None and len(self._stages) == 1:
                self._idle += len(shown)
                return shown
            if segment and not segment.shown and not self._idle and self._maps[0].settled:
                self._maps[0].add(segment)
                self._shift += segment.source
                return shown
        return self._note(shown, segment, closed=closed)

    def _note(self, shown: str, segment: Segment | None, *, closed: bool) -> str:
        """Send through the other stages what the first one showed, and tell all maps."""
        if self._idle:
            for map_ in self._maps:
                map_.same(self._idle)
            self._idle = 0
        self._shift = None
        for number, map_ in enumerate(self._maps):
            if number:
                shown, segment = self._stages[number].show(shown, closed=closed)
            if segment:
                map_.add(segment)
            else:
                map_.same(len(shown))
        return shown

    def _waits(self) -> bool:
        return any(stage.waiting for stage in self._may_wait)

    def _back(self, matches: list[Match], limit: int) -> tuple[list[Match], int]:
        """From the places shown to those looked at."""
        for map_ in reversed(self._maps):
            if matches:
                matches = _behind_all(map_, matches)
            reached = map_.start(limit)
            map_.forget(limit)
            limit = reached
        shift = 0
        for map_ in self._maps:
            if map_.shift is None:
                return matches, limit
            shift += map_.shift
        self._shift = shift
        return matches, limit


def _behind_all(map_: Map, matches: list[Match]) -> list[Match]:
    """Matches in what is shown as those in the source; behind a barrier there may be nothing."""
    spans = [span for match in matches for span in _behind(map_, match)]
    return [span for span in spans if span.start < span.end]


def _behind(map_: Map, match: Match) -> list[Match]:
    """A match in what is shown as one in the source; how one goes on, character by character."""
    if not match.more:
        return [match._replace(start=map_.start(match.start), end=map_.end(match.end))]
    return [match._replace(start=start, end=end) for start, end in map_.runs(match.start, match.end)]


def _whole(lens: Lens, sample: Sample) -> list[Match]:
    """Matches in a text that is there as a whole: what a ``_Reading`` of it finds, without what only pieces need."""
    text = sample.text
    segments: list[Segment | None] = []
    if not (lens.quiet and plain(text) and not _search(lens.quiet)(text)):
        for make in lens.stages:
            text, segment = make().show(text, closed=True)
            segments.append(segment)
    if not text:
        return []
    if text is not sample.text:
        sample = Sample(text, closed=True)
    matches: list[Match] = []
    if lens.scanner:
        found = lens.scanner.matches(sample, 0, len(text), {})
        matches = [match._replace(order=lens.orders[match.order]) for match in found]
    for child in lens.lenses:
        matches += _whole(child, sample)
    for segment in reversed(segments) if matches else ():
        if segment:
            matches = _in_source(segment, matches)
    return matches


def _in_source(segment: Segment, matches: list[Match]) -> list[Match]:
    """Matches in what is shown as those in the source."""
    map_ = Map()
    map_.add(segment)
    return _behind_all(map_, matches)


class LensReader:
    """The reader of several lenses: gives out a match when no lens can find one that begins before it any more."""

    __slots__ = ("_reading", "_waiting")

    def __init__(self, lens: Lens) -> None:
        self._reading = _Reading(lens)
        self._waiting: list[Match] = []

    def read(self, text: str, *, closed: bool) -> tuple[list[Match], int]:
        """See ``Reader``."""
        found, limit = self._reading.read(text, closed=closed)
        if not found and not self._waiting:
            return found, limit
        ready = in_order([*self._waiting, *found])
        count = len(ready) if closed else sum(match.start < limit for match in ready)
        self._waiting = ready[count:]
        return ready[:count], limit


class Lenses(Ruled):
    """The rules of several policies, each behind the lenses of its policy's strictness. Immutable."""

    __slots__ = ("_lens",)

    def __init__(self, entries: Iterable[tuple[Policy, Rule]]) -> None:
        super().__init__(entries)
        self._lens = _build(self.entries)

    @classmethod
    def joined(cls, first: Lenses, second: Lenses) -> Lenses:
        """Both as one, without compiling anything again. The first's rules take precedence."""
        if not first or not second:
            return first or second
        found = cls(())
        found.entries = (*first.entries, *second.entries)
        found._lens = Lens(lenses=(first._lens, _shifted(second._lens, len(first.entries))))
        return found

    def reader(self) -> Reader:
        """Something to read one text with that arrives in pieces."""
        if self._lens.scanner and not self._lens.lenses:
            return self._lens.scanner.reader()
        return LensReader(self._lens)

    def scan(self, text: str) -> list[Match]:
        """All matches in a whole text, in order."""
        if self._lens.scanner and not self._lens.lenses:
            return self._lens.scanner.scan(text)
        return in_order(_whole(self._lens, Sample(text, closed=True)))


def _build(entries: Sequence[tuple[Policy, Rule]]) -> Lens:
    def looking(rules: Iterable[int]) -> tuple[Scanner | None, tuple[int, ...]]:
        orders = tuple(rules)
        return (Scanner(tuple(entries[order] for order in orders)) if orders else None), orders

    def of(strictness: Strictness, *, words: bool = False) -> list[int]:
        return [
            order
            for order, (policy, rule) in enumerate(entries)
            if policy.match is strictness and isinstance(rule, HardenedWords) is words
        ]

    hard, words = of(Strictness.HARDENED), of(Strictness.HARDENED, words=True)
    if any(isinstance(rule, HardenedWords) and policy.match is not Strictness.HARDENED for policy, rule in entries):
        raise ValueError("only a hardened policy can have rules that expect a hardened text")
    folded = Lens((Fold,), *looking(of(Strictness.FOLDED)))
    clipped = Lens((Clip,), *looking(words))
    spelled = Lens((Spelled, Clip), *looking(words))
    decoded = Lens((Decode,), *looking(hard), lenses=_needed(clipped))
    tagged = Lens((Tags,), *looking(hard), lenses=_needed(clipped))
    hardened = Lens(
        (Fold, Unescape, Unescape, Fold),
        *looking(hard),
        lenses=_needed(clipped, spelled, *((decoded,) if hard or words else ())),
        quiet="&%\\",
    )
    exact = looking(of(Strictness.EXACT))
    lenses = _needed(folded, hardened, *((tagged,) if hard or words else ()))
    return Lens((), *exact, lenses=lenses)


def _shifted(lens: Lens, by: int) -> Lens:
    """The same lens for rules whose orders are higher by so much."""
    orders = tuple(order + by for order in lens.orders)
    return replace(lens, orders=orders, lenses=tuple(_shifted(each, by) for each in lens.lenses))


def _needed(*lenses: Lens) -> tuple[Lens, ...]:
    return tuple(each for each in lenses if each.needed)
