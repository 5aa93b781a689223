"""What services are asked about an exchange, and what their answers come to. Sans-IO: somebody else carries both.

A question has texts and the policy whose service judges them. While one is open, an exchange waits with the request
(``wait: before``), or with the answer's headers (``parallel``), or with the part of an answer it is about. A service that
fails counts as its policy's ``on_error`` says: refused as undecided, or allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from extproc.errors import Refused
from extproc.plugin import Caller
from extproc.policy.api import Action, OnError, Outcome, Phase, Policy, Scope, Tally

FAILED: Final = "failed"
"""The label under which a service's failures are counted."""

_NOBODY: Final = Caller()

Said = tuple[Scope, str]
"""A text and whose words it is."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)  # a log that shows one must not show texts
class Question:
    """Texts for a policy's service. ``waits``: the request does not go on without the answer.

    ``caller``: whose texts they are, for policies of the operator's own; services are told ``phase`` and ``request_id``.
    """

    policy: Policy
    texts: tuple[Said, ...]
    phase: Phase = Phase.REQUEST
    waits: bool = False
    request_id: str = ""
    caller: Caller = field(default_factory=Caller)


@dataclass(frozen=True, slots=True, repr=False)
class Found:
    """A service's answer. ``labels``: the categories it found; ``spans`` by text: (start, end, replacement).

    ``watches``: it only wants that recorded; ``blocks``: it wants that blocked, whatever the policy's action would be.
    ``failed``: there is no answer.
    """

    labels: tuple[str, ...] = ()
    spans: tuple[tuple[tuple[int, int, str], ...], ...] = ()
    watches: bool = False
    blocks: bool = False
    failed: bool = False


@dataclass(slots=True, repr=False)
class Judging:
    """The questions of one exchange.

    ``asked`` are those nobody has carried away yet. ``blocked`` and ``refused`` tell the first bad end.
    """

    tally: Tally
    request_id: str = ""
    caller: Caller = _NOBODY
    asked: list[Question] = field(default_factory=list)
    _open: set[Question] = field(default_factory=set)
    _news: list[tuple[Question, Found]] = field(default_factory=list)
    blocked: Policy | None = None
    refused: Refused | None = None

    def ask(self, policies: Iterable[Policy], phase: Phase, texts: Sequence[Said]) -> list[Question]:
        """Ask every policy's service about those of the texts that are in its scope; returns the questions."""
        found = []
        for policy in policies:
            service = policy.moderation
            if service is None or phase not in policy.phases:
                continue
            chosen = tuple((scope, text) for scope, text in texts if scope in policy.scopes and text.strip())
            if chosen:
                waits = phase is Phase.REQUEST and service.wait == "before" and policy.enforced
                caller = replace(self.caller, phase=phase, override=policy.override)
                question = Question(policy, chosen, phase, waits, self.request_id, caller)
                found.append(question)
                self._open.add(question)
        self.asked += found
        return found

    def told(self, question: Question, found: Found) -> None:
        """A service has answered. May be called from anywhere at any time; ``news`` acts on it."""
        self._news.append((question, found))

    @property
    def has_news(self) -> bool:
        """Whether answers have come that nobody has looked at."""
        return bool(self._news)

    def news(self) -> list[tuple[Question, Found]]:
        """The answers that have come; what they mean for the exchange as a whole is in ``blocked`` and ``refused``."""
        found, self._news = self._news, []
        for question, answer in found:
            self._open.discard(question)
            self._weigh(question, answer)
        return found

    def waiting(self, questions: Iterable[Question] | None = None) -> bool:
        """Whether one of these (or any that can change the exchange) is still open."""
        among = self._open if questions is None else self._open.intersection(questions)
        return any(each.policy.enforced for each in among)

    @property
    def waits(self) -> bool:
        """Whether the request does not go on yet."""
        return any(each.waits for each in self._open)

    def give_up(self) -> None:
        """The exchange is over: answers that still come mean nothing."""
        self._open.clear()
        self.asked.clear()

    def _weigh(self, question: Question, answer: Found) -> None:
        policy = question.policy
        if answer.failed:
            blocks = policy.enforced and policy.on_error is OnError.BLOCK
            self.tally.add(policy, FAILED, outcome=Outcome.BLOCK if blocks else Outcome.AUDIT)
            if blocks and not self.refused and not self.blocked:
                self.refused = undecided()
            return
        blocks = policy.enforced and not answer.watches and (answer.blocks or not _redactable(question, answer))
        outcome = Outcome.AUDIT if answer.watches else Outcome.BLOCK if blocks else None
        for label in answer.labels:
            self.tally.add(policy, label, outcome=outcome)
        if answer.labels and blocks:
            self.blocked = self.blocked or policy


def undecided(what: str = "request") -> Refused:
    """What a client is told where a policy has failed that must not: the same for a service, code of one's own, and rules."""
    return Refused(503, "undecided", f"The {what} could not be judged; try again.", "api_error")


def _redactable(question: Question, answer: Found) -> bool:
    """Whether what was found can be taken out: only of a request that waits, and where it is said where it is."""
    if question.policy.action is not Action.REDACT or not question.waits:
        return False
    places = [(mark, text) for marks, (_, text) in zip(answer.spans, question.texts, strict=False) for mark in marks]
    return bool(places) and all(0 <= start < end <= len(text) for (start, end, _), text in places)
