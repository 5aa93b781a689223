"""A scanner: the rules of several policies, compiled together for one phase and scope.

Owns: the common prefilter, the order of matches and what overlapping matches mean. The meaning of redacting a text is
fixed here, in ``scan``: each rule's matches are found leftmost first without overlaps; matches of different rules that
overlap form a cluster, which is replaced as a whole by the replacement of its first match (leftmost, then longest, then
the rule listed first).
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable
from itertools import islice
from operator import itemgetter, lt, neg, sub
from typing import Final, NamedTuple, Protocol

from extproc.policy.api import Action, OnError, Policy
from extproc.policy.gate import Gate
from extproc.policy.hardened import HardenedBundle, HardenedWords
from extproc.policy.rules import RegexBundle, RegexRule, Rule, Sample
from extproc.policy.words import WordBundle, WordRule


class Match(NamedTuple):
    """Characters ``start`` to ``end`` of a text, found by the rule with this ``order`` in the scanner.

    ``more``: how an open-ended match goes on; it follows that, and is not a match of its own. Behind a view there may be
    gaps in it: characters that are not shown. They stay, since nobody can tell how long to wait for what follows them.
    """

    start: int
    end: int
    order: int
    more: bool = False


class Op(NamedTuple):
    """What becomes of the next ``length`` characters: kept (``text`` is None) or replaced by ``text``."""

    length: int
    text: str | None = None


class Ruled:
    """The rules of several policies. ``entries`` are (policy, rule) in order of precedence; a match names one by its place."""

    __slots__ = ("entries",)

    def __init__(self, entries: Iterable[tuple[Policy, Rule]]) -> None:
        self.entries = tuple(entries)

    def __bool__(self) -> bool:
        return bool(self.entries)

    def policy(self, match: Match) -> Policy:
        """The policy a match belongs to."""
        return self.entries[match.order][0]

    def rule(self, match: Match) -> Rule:
        """The rule a match belongs to."""
        return self.entries[match.order][1]


class Scanner(Ruled):
    """Finds all matches. Immutable; shared by all exchanges.

    ``behind`` is how many characters before a match its rule may look at.
    """

    __slots__ = ("_gates", "_hardened", "_others", "_regexes", "_words", "behind")

    def __init__(self, entries: tuple[tuple[Policy, Rule], ...]) -> None:
        super().__init__(entries)
        regexes = [(index, rule) for index, (_, rule) in enumerate(entries) if isinstance(rule, RegexRule)]
        words = [(index, rule) for index, (_, rule) in enumerate(entries) if isinstance(rule, WordRule)]
        self.behind = max((rule.behind for _, rule in regexes), default=1)
        hardened = [(index, rule) for index, (_, rule) in enumerate(entries) if isinstance(rule, HardenedWords)]
        bundled = {index for index, _ in (*regexes, *words, *hardened)}
        self._gates = _by_gate(regexes)
        regexes = [(index, rule) for index, rule in regexes if rule.gate is None]
        self._regexes = RegexBundle(regexes) if regexes else None
        self._words = WordBundle(words) if words else None
        self._hardened = HardenedBundle(hardened) if hardened else None
        self._others = [index for index in range(len(entries)) if index not in bundled]

    def pending(self, sample: Sample, start: int) -> int:
        """The least place at or after ``start`` where a match of any rule may be under way."""
        least = self._regexes.pending(sample, start) if self._regexes else len(sample.text)
        if self._words:
            least = self._words.pending(sample, start, least)
        if self._hardened:
            least = self._hardened.pending(sample, start, least)
        if not self._gates and not self._others:
            return least
        for gate, _ in self._gates:
            least = min(least, gate.pending(sample, start))
        for index in (*self._others, *self._gated(sample, start)):
            least = min(least, self.entries[index][1].pending(sample, start))
        return least

    def _gated(self, sample: Sample, start: int) -> list[int]:
        return [
            index for gate, indices in self._gates for number in gate.found(sample, start) for index in indices[number]
        ]

    def matches(self, sample: Sample, start: int, limit: int, ahead: dict[int, int]) -> list[Match]:
        """All matches whose candidates begin in ``start <= s < limit``, in order of their own beginnings.

        A match that is a part of its candidate may begin at ``limit`` or later (see ``Accept``). Every candidate that
        begins before ``limit`` must already be decided by the sample (see ``pending``). ``ahead`` says where
        a rule's next candidate may begin when its last match ends beyond ``start``; it is brought up to ``limit``.
        """
        if start >= limit:
            return []
        found = self._resumed(sample, ahead) if ahead else []
        active = [*self._others, *self._gated(sample, start)] if self._gates else [*self._others]
        if self._regexes:
            active += self._regexes.found(sample, start)
        if self._words:
            active += self._words.found(sample, start, limit)
        if self._hardened:
            active += self._hardened.found(sample, start, limit)
        if not active:
            return in_order(found)
        for index in active:
            ahead[index] = self._run(index, sample, max(start, ahead.get(index, 0)), limit, found, ahead)
        return in_order(found)

    def _resumed(self, sample: Sample, ahead: dict[int, int]) -> list[Match]:
        """How matches go on that reached the end of an earlier sample, which ``ahead`` has under ``~order``."""
        found: list[Match] = []
        for key in [key for key in ahead if key < 0]:
            place = ahead.pop(key)
            end = self._extend(~key, sample, place, ahead)
            ahead[~key] = max(end, ahead.get(~key, 0))
            if end > place:
                found.append(Match(place, end, ~key, more=True))
        return found

    def _extend(self, order: int, sample: Sample, end: int, ahead: dict[int, int]) -> int:
        rule = self.entries[order][1]
        if isinstance(rule, RegexRule) and rule.open_ended:
            end = rule.extend(sample, end)
            if end == len(sample.text) and not sample.closed:
                ahead[~order] = end
        return end

    def _run(
        self, order: int, sample: Sample, cursor: int, limit: int, found: list[Match], ahead: dict[int, int]
    ) -> int:
        policy, rule = self.entries[order]
        try:
            if isinstance(rule, RegexRule) and not rule.open_ended:
                for first, end in rule.spans(sample, cursor, limit):
                    if first < end:
                        found.append(_made(Match, (first, end, order, False)))
                    cursor = end
                return cursor
            while cursor < limit:
                span = rule.find(sample, cursor, limit)
                if span is None:
                    return limit
                cursor = span[1]
                if span[0] < span[1]:
                    found.append(Match(span[0], cursor, order))
                    cursor = self._extend(order, sample, cursor, ahead)
                    if cursor > span[1]:
                        found.append(Match(span[1], cursor, order, more=True))
        except Exception:  # a rule that fails must not pass for "nothing found"
            if policy.on_error is OnError.ALLOW or not policy.enforced:
                return sys.maxsize  # it looks at no more of this text, however the text was cut
            raise PolicyFailedError(policy) from None
        return cursor

    def scan(self, text: str) -> list[Match]:
        """All matches in a whole text, in order."""
        sample = Sample(text, closed=True)
        return self.matches(sample, 0, len(text), {})

    def reader(self) -> Reader:
        """Something to read one text with that arrives in pieces."""
        return Seeker(self)


class Entries(Protocol):
    """What knows the policy and the rule of a match."""

    def policy(self, match: Match) -> Policy:
        """The policy a match belongs to."""
        ...

    def rule(self, match: Match) -> Rule:
        """The rule a match belongs to."""
        ...


class Reader(Protocol):
    """Reads one text that arrives in pieces."""

    def read(self, text: str, *, closed: bool) -> tuple[list[Match], int]:
        """The matches that are decided now, in order, and the place before which no other match begins.

        Places count from the beginning of the text. Raises ``PolicyFailedError``.
        """
        ...


class Seeker:
    """The reader of a scanner: keeps the tail of the text in which a match may be under way.

    Before it stay, as left context, as many characters as the rules look at. ``_decided``: no undecided match begins before
    it; ``_ahead``: where the next match of a rule may begin that ends beyond that. Both count from the beginning of the
    buffer, which is ``_base`` characters behind that of the text. ``_waiting``: matches that are a part of a candidate and
    begin where the text is not decided yet. They wait until it is: then all that begin before them are known.
    """

    __slots__ = ("_ahead", "_base", "_buffer", "_decided", "_scanner", "_waiting")

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._buffer = ""
        self._base = self._decided = 0
        self._ahead: dict[int, int] = {}
        self._waiting: list[Match] = []

    def read(self, text: str, *, closed: bool) -> tuple[list[Match], int]:
        """See ``Reader``."""
        if text:
            self._buffer += text
        elif not closed or not self._buffer:
            return [], self._base + self._decided
        sample = Sample(self._buffer, closed=closed)
        limit = len(self._buffer) if closed else self._scanner.pending(sample, self._decided)
        found = self._scanner.matches(sample, self._decided, limit, self._ahead)
        base = self._base
        if base and found:
            found = [match._replace(start=match.start + base, end=match.end + base) for match in found]
        self._decided = limit
        if limit > self._scanner.behind:
            self._trim(limit - self._scanner.behind)
        return self._due(found, base + limit), base + limit

    def _due(self, matches: list[Match], limit: int) -> list[Match]:
        """Of these matches and those that waited, the ones that begin before ``limit``; the others wait."""
        if not self._waiting and (not matches or matches[-1].start < limit):
            return matches
        matches = in_order([*self._waiting, *matches])
        self._waiting = [each for each in matches if each.start >= limit]
        return matches[: len(matches) - len(self._waiting)]

    def _trim(self, cut: int) -> None:
        self._buffer = self._buffer[cut:]
        self._base += cut
        self._decided -= cut
        if self._ahead:
            self._ahead = {order: place - cut for order, place in self._ahead.items() if place > cut}


def _by_gate(regexes: list[tuple[int, RegexRule]]) -> list[tuple[Gate, dict[int, list[int]]]]:
    """The gates of these rules, each with the rules it names by their numbers there."""
    gates: dict[Gate, dict[int, list[int]]] = {}
    for index, rule in regexes:
        if rule.gate is not None:
            gates.setdefault(rule.gate[0], defaultdict(list))[rule.gate[1]].append(index)
    return list(gates.items())


def in_order(matches: list[Match]) -> list[Match]:
    """Matches leftmost first; of those that begin together the longest, then the rule listed first.

    What goes on with a match stands before what begins there: that is within the same match.
    """
    if len(matches) < 2:
        return matches
    starts = list(map(_START, matches))
    if all(map(lt, starts, islice(starts, 1, None))) and not any(map(_MORE, matches)):
        return matches  # as those of one rule are
    firsts = map(sub, starts, map(_MORE, matches))
    keys = zip(firsts, map(neg, map(_END, matches)), map(_ORDER, matches), range(len(matches)), strict=True)
    return [matches[key[3]] for key in sorted(keys)]


_made: Final = tuple.__new__  # half the time of Match(): there may be a hundred thousand
_START: Final = itemgetter(0)
_END: Final = itemgetter(1)
_ORDER: Final = itemgetter(2)
_MORE: Final = itemgetter(3)


class PolicyFailedError(Exception):
    """A policy with ``on_error: block`` failed; ``policy`` is the one."""

    def __init__(self, policy: Policy) -> None:
        super().__init__("a policy failed")
        self.policy = policy


def clusters(matches: list[Match]) -> list[tuple[int, int, Match]]:
    """Sorted matches of a whole text as what is replaced at once: (start, end, the match whose replacement it gets).

    That of a match that goes on behind a gap (see ``Match.more``) is empty.
    """
    found: list[tuple[int, int, Match]] = []
    for match in matches:
        if found and match.start < found[-1][1] + match.more:
            start, end, first = found[-1]
            found[-1] = start, max(end, match.end), first
        else:
            found.append((match.start, match.end, match))
    return found


def lay(scanner: Entries, matches: list[Match], cursor: int, ops: list[Op]) -> int:
    """Turn sorted matches into operations from ``cursor`` on; returns where the last cluster ends."""
    for match in matches:
        if match.start > cursor or (match.start == cursor and not match.more):
            if match.start > cursor:
                ops.append(Op(match.start - cursor))
            ops.append(Op(match.end - match.start, "" if match.more else scanner.rule(match).replacement))
            cursor = match.end
        elif match.end > cursor:  # grows the cluster
            ops.append(Op(match.end - cursor, ""))
            cursor = match.end
    return cursor


def apply(ops: list[Op], text: str) -> str:
    """Run operations that cover exactly this text."""
    parts: list[str] = []
    at = 0
    for op in ops:
        parts.append(text[at : at + op.length] if op.text is None else op.text)
        at += op.length
    return "".join(parts)


def blocking(scanner: Entries, matches: list[Match]) -> int:
    """Index of the first match of an enforced blocking policy, or -1."""
    for index, match in enumerate(matches):
        policy = scanner.policy(match)
        if policy.enforced and policy.action in (Action.BLOCK, Action.REPLY):
            return index
    return -1
