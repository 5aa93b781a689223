"""The chain: all policies of a configuration, and the only place that combines what they find.

Owns: which rules apply to which phase and scope, precedence (block > reply > redact > audit > allow), and the difference
between enforcing and auditing. Rules that enforce share one window and hold text back; rules that only watch share
another and never delay anything.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Final

from extproc.policy.api import Action, Decision, Outcome, Phase, Policy, Scope, Style, Tally
from extproc.policy.lenses import Lenses
from extproc.policy.scanner import Match, Op, PolicyFailedError, apply, clusters
from extproc.policy.vault import Vault
from extproc.policy.views import JsonView
from extproc.policy.window import Window


@dataclass(frozen=True, slots=True)
class Guard:
    """What applies to one phase and scope: rules that act, rules that only watch, and both together for whole texts."""

    enforce: Lenses
    watch: Lenses
    whole: Lenses

    def __bool__(self) -> bool:
        return bool(self.whole)

    def joined(self, other: Guard) -> Guard:
        """This and another."""
        return Guard(
            Lenses.joined(self.enforce, other.enforce),
            Lenses.joined(self.watch, other.watch),
            Lenses.joined(self.whole, other.whole),
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """A match, for people: where it is in the text as policies see it, and what it says there."""

    policy: Policy
    label: str
    start: int
    end: int
    text: str


_ACTING_WATCHING_BOTH: Final = (frozenset({True}), frozenset({False}), frozenset({True, False}))


class Chain:
    """The compiled policies, in the order of the configuration. Immutable."""

    __slots__ = ("_guarded", "_guards", "policies")

    def __init__(self, policies: Iterable[Policy]) -> None:
        self.policies = tuple(policies)
        scanners: dict[tuple[int, ...], Lenses] = {}

        def scanner(phase: Phase, scope: Scope, enforced: frozenset[bool]) -> Lenses:
            chosen = [
                each
                for each in self.policies
                if phase in each.phases and scope in each.scopes and each.enforced in enforced
            ]
            key = tuple(id(each) for each in chosen)
            if key not in scanners:  # scopes with the same rules share one automaton
                scanners[key] = Lenses((each, rule) for each in chosen for rule in each.rules)
            return scanners[key]

        guards = {
            (phase, scope): Guard(*(scanner(phase, scope, enforced) for enforced in _ACTING_WATCHING_BOTH))
            for phase in Phase
            for scope in Scope
        }
        self._guards = {place: guard for place, guard in guards.items() if guard}
        self._guarded = frozenset(phase for phase, _ in self._guards)

    def guard(self, phase: Phase, scope: Scope) -> Guard | None:
        """What applies to texts of this scope in this phase; None where nothing is looked for."""
        return self._guards.get((phase, scope))

    def guards(self, phase: Phase) -> bool:
        """Whether anything at all is looked for in this phase."""
        return phase in self._guarded

    def armed(self) -> list[str]:
        """Names of all policies, those that only audit in the form ``name;audit``."""
        return [each.name if each.enforced else f"{each.name};audit" for each in self.policies]

    def joined(self, policies: Sequence[Policy]) -> Chain:
        """This and more policies, for one exchange. What this has compiled is not compiled again."""
        return self.with_chain(Chain(policies)) if policies else self

    def with_chain(self, more: Chain) -> Chain:
        """This and another as one, without compiling anything. This one's rules take precedence."""
        chain = copy(self)
        chain.policies = (*self.policies, *more.policies)
        chain._guards = {**more._guards, **self._guards}
        for place in self._guards.keys() & more._guards.keys():
            chain._guards[place] = self._guards[place].joined(more._guards[place])
        chain._guarded = self._guarded | more._guarded
        return chain

    def inspect(
        self,
        phase: Phase,
        texts: Sequence[tuple[Scope, str, bool]],
        tally: Tally,
        vault: Vault | None = None,
        borders: Sequence[Sequence[int]] = (),
    ) -> Decision:
        """Decide about whole texts: one decision for all of them, with the new text of each that changes.

        ``texts`` are (scope, text, whether the text is JSON source); ``vault`` takes what can be restored. ``borders``: places
        in each text, in order; then only what is found across one of them counts.
        """
        decision = Decision()
        for index, (scope, text, json) in enumerate(texts):
            guard = self.guard(phase, scope)
            if not text or guard is None:
                continue
            try:
                whole = _Whole(guard, text, json=json)
                found = guard.whole.scan(whole.seen)
                if borders:
                    found = _across(found, borders[index])
                self._inspect_one(whole, found, index, phase, decision, tally, vault)
            except PolicyFailedError as failure:
                return Decision(Outcome.BLOCK, failure.policy)
        if decision.outcome in (Outcome.BLOCK, Outcome.REPLY):
            decision.texts.clear()
            decision.cuts.clear()
            decision.ops.clear()
        elif decision.cuts:
            decision.outcome = Outcome.BLOCK
        return decision

    def _inspect_one(
        self,
        whole: _Whole,
        found: list[Match],
        index: int,
        phase: Phase,
        decision: Decision,
        tally: Tally,
        vault: Vault | None,
    ) -> None:
        if not found:
            return
        lenses = whole.guard.whole
        _record(lenses, found, tally, decision)
        matches = [match for match in found if lenses.policy(match).enforced]
        if not matches:
            return
        for number, match in enumerate(matches):
            policy = lenses.policy(match)
            if policy.action is Action.BLOCK and policy.style is Style.TRUNCATE and phase is Phase.RESPONSE:
                decision.policy = (
                    policy if not decision.cuts and decision.outcome is not Outcome.BLOCK else decision.policy
                )
                ops = whole.before(matches[:number], match.start)
                decision.cuts[index], decision.ops[index] = whole.text(ops), ops
                break
            if policy.action is Action.BLOCK and decision.outcome is not Outcome.BLOCK:
                decision.outcome, decision.policy = Outcome.BLOCK, policy
            elif policy.action is Action.REPLY and decision.outcome not in (Outcome.BLOCK, Outcome.REPLY):
                decision.outcome, decision.policy = Outcome.REPLY, policy
        if index not in decision.cuts and decision.outcome in (Outcome.ALLOW, Outcome.AUDIT, Outcome.REDACT):
            decision.outcome = Outcome.REDACT
            decision.policy = decision.policy or lenses.policy(matches[0])
            ops = whole.redacted(matches, vault)
            decision.texts[index], decision.ops[index] = whole.text(ops), ops

    def findings(self, phase: Phase, scope: Scope, text: str, *, json: bool = False) -> list[Finding]:
        """Every match in a whole text, for people: in the order of the text."""
        guard = self.guard(phase, scope)
        if guard is None or not text:
            return []
        view = JsonView() if json else None
        seen = text if view is None else view.show(text) + view.end()
        lenses = guard.whole
        found = []
        for match in (each for each in lenses.scan(seen) if not each.more):
            policy, rule = lenses.policy(match), lenses.rule(match)
            found.append(Finding(policy, rule.label, match.start, match.end, seen[match.start : match.end]))
        return sorted(found, key=lambda each: (each.start, each.end))

    def open(self, phase: Phase, scope: Scope, tally: Tally, *, json: bool = False) -> Track | None:
        """A track for one text that will arrive in pieces; None where nothing is looked for."""
        guard = self.guard(phase, scope)
        return Track(guard, tally, json=json) if guard else None


class _Whole:
    """A whole text as the rules see it."""

    __slots__ = ("_text", "_view", "guard", "seen")

    def __init__(self, guard: Guard, text: str, *, json: bool) -> None:
        self.guard = guard
        self._text = text
        self._view = JsonView() if json else None
        self.seen = text if self._view is None else self._view.show(text) + self._view.end()

    def redacted(self, matches: list[Match], vault: Vault | None) -> list[Op]:
        """How to redact these matches."""
        return self._laid(self._ops(matches, vault, len(self.seen)))

    def before(self, matches: list[Match], end: int) -> list[Op]:
        """The same for the text up to ``end``."""
        return self._laid(self._ops(matches, None, end))

    def text(self, ops: list[Op]) -> str:
        """What they leave of the text."""
        return apply(ops, self._text[: sum(op.length for op in ops)])

    def _ops(self, matches: list[Match], vault: Vault | None, end: int) -> list[Op]:
        lenses, ops, at = self.guard.whole, list[Op](), 0
        for start, stop, first in clusters(matches):
            if start > at:
                ops.append(Op(start - at))
            rule = lenses.rule(first)
            text = "" if first.more else rule.replacement
            if text and vault is not None and lenses.policy(first).restore:
                text = vault.replacement(rule.label, text, self.seen[start:stop])
            ops.append(Op(stop - start, text))
            at = stop
        return [*ops, Op(end - at)] if end > at else ops

    def _laid(self, ops: list[Op]) -> list[Op]:
        """Operations on what is seen as those on the text."""
        return ops if self._view is None else self._view.hide(ops)


def _across(matches: list[Match], borders: Sequence[int]) -> list[Match]:
    """The matches that reach over a border, each with the parts behind its gaps."""
    found: list[Match] = []
    one: list[Match] = []
    for match in [*matches, None]:
        if one and (match is None or not match.more):
            start, end = one[0].start, max(each.end for each in one)
            at = bisect_right(borders, start)
            found += one if at < len(borders) and borders[at] < end else ()
            one = []
        if match is not None:
            one.append(match)
    return found


def _record(scanner: Lenses, matches: list[Match], tally: Tally, decision: Decision) -> None:
    for match in matches:
        if not match.more:
            tally.add(scanner.policy(match), scanner.rule(match).label)
    if matches and decision.outcome is Outcome.ALLOW:
        decision.outcome = Outcome.AUDIT


class Track:
    """One text under way (a choice's content, one tool call's arguments). ``feed`` and ``close`` give operations.

    ``blocked`` names the policy that ended it; the operations returned with it stop before the match.
    """

    __slots__ = ("_enforce", "_view", "_watch", "blocked")

    def __init__(self, guard: Guard, tally: Tally, *, json: bool) -> None:
        self._enforce = Window(guard.enforce, tally) if guard.enforce else None
        self._watch = Window(guard.watch, tally) if guard.watch else None
        self._view = JsonView() if json else None
        self.blocked: Policy | None = None

    @property
    def held(self) -> int:
        """Characters held back."""
        return self._enforce.held if self._enforce else 0

    def feed(self, text: str) -> list[Op]:
        """Take the next piece of the text."""
        return self._run(self._view.show(text) if self._view else text, close=False)

    def close(self) -> list[Op]:
        """The text has ended: everything held back is decided."""
        return self._run(self._view.end() if self._view else "", close=True)

    def _run(self, seen: str, *, close: bool) -> list[Op]:
        if self._watch:
            _push(self._watch, seen, close=close)
        if not self._enforce:
            ops = [Op(len(seen))] if seen else []
            return self._view.hide(ops) if self._view else ops
        try:
            ops = _push(self._enforce, seen, close=close)
        except PolicyFailedError as failure:
            self.blocked = failure.policy
            return []
        self.blocked = self._enforce.blocked
        return self._view.hide(ops) if self._view else ops


def _push(window: Window, text: str, *, close: bool) -> list[Op]:
    ops = window.feed(text)
    return ops + window.close() if close else ops
