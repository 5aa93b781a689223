"""An answer on its way to the client: what it comes to as effects, and what of it waits until services have judged it.

Owns: when the answer's headers leave (with the first byte a client can notice), how it is stopped before and after that,
and what the record says of its end. What an answer's body is, ``answer`` knows; which words wait, ``gate``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from extproc import events
from extproc.errors import Refused
from extproc.events import Effect, Mutation
from extproc.exchange.answer import Answer, Verdict, WholeAnswer
from extproc.exchange.elements import ElementsAnswer
from extproc.exchange.gate import Gate
from extproc.exchange.hooks import Hooks, Ruling
from extproc.exchange.judging import Judging, undecided
from extproc.exchange.replies import Replies, blocked
from extproc.policy.api import Policy
from extproc.telemetry import Record
from extproc.usage import Meter

USAGE: Final = "llm.extproc.usage"
"""Dynamic metadata: tokens by kind, and their sum as ``total``; ``model`` and ``backend``."""


class Outgoing:
    """One answer.

    ``over``: all of it has been said, though some may wait at the gate.

    Args:
        answer: its body.
        gate: where it waits; None where nothing has to.
        back: what becomes of its own headers.
        elapsed: milliseconds since the exchange began.
        most: bytes of a stream that may wait.
        hooks: the operator's code that sees streams as a whole.
    """

    def __init__(
        self,
        answer: Answer,
        gate: Gate | None,
        back: Mutation,
        judging: Judging,
        replies: Replies,
        meter: Meter,
        record: Record,
        elapsed: Callable[[], float],
        most: int,
        hooks: Hooks | None = None,
    ) -> None:
        self._answer, self._gate, self._back = answer, gate, back
        self._judging, self._replies, self._meter, self._record = judging, replies, meter, record
        self._elapsed, self._most, self._hooks = elapsed, most, hooks
        self._trailers: list[events.DropTrailers] = []  # what to say of the answer's, once they have come
        self.over = False

    @property
    def held(self) -> int:
        """Bytes that are held back or collected."""
        held = (self._gate.held if self._gate else 0) + (self._hooks.held if self._hooks else 0)
        return held + (0 if self.over else self._answer.held)

    @property
    def waits(self) -> bool:
        """Whether something waits at the gate."""
        return self._gate is not None and self._gate.waits

    @property
    def speaks(self) -> bool:
        """Whether something can be said to the client between its parts."""
        return self._answer.speaks

    @property
    def silent(self) -> bool:
        """Whether the client has seen a beginning and waits for what is held."""
        if self._gate:
            return self._gate.begun and self._gate.waits
        return not self.over and self._answer.committed and bool(self._answer.held)

    def body(self, chunk: bytes, *, end: bool) -> list[Effect]:
        """The next bytes of it.

        Raises:
            Refused: it does not go on, and the client has seen nothing of it.
        """
        verdict = self._answer.feed(chunk)
        if end and not verdict.end:
            verdict = verdict.then(self._answer.close())
        return self._tell(verdict)

    def end(self) -> list[Effect]:
        """It ends. Raises as ``body``."""
        return self._tell(self._answer.close())

    def trailers(self, names: tuple[str, ...]) -> list[Effect]:
        """It ends in trailers. Raises as ``body``."""
        effects = self._tell(self._answer.close(), trailers=True)
        self._trailers.append(events.DropTrailers(request=False, names=names))
        return [*effects, *self._trailers]

    def stop(self, refused: Refused) -> list[Effect]:
        """It has to end here. Raises as ``body``."""
        return self._tell(self._answer.stop(refused))

    def _tell(self, verdict: Verdict, *, trailers: bool = False) -> list[Effect]:
        answer = self._answer
        if verdict.refused and not answer.committed and not verdict.commit:
            if verdict.policy:
                return self._blocked(verdict.policy)
            raise verdict.refused
        effects: list[Effect] = []
        if verdict.commit:
            self._record.first_byte_ms = round(self._elapsed(), 3)
            headers = (*self._replies.headers(), *self._back.set)
            effects.append(events.ContinueResponse(Mutation(set=headers, remove=self._back.remove)))
            answer.committed = True
        if self._hooks:
            self._hooks.hear(verdict.body)
        if verdict.end:
            self._end(verdict)
            if self._gate is None:
                self._ask_hooks(held=False)
        if verdict.body or verdict.end:
            metadata = self._closing_metadata() if verdict.end else None
            effects.append(events.Send(verdict.body, verdict.end and not trailers, metadata))
        return effects

    def _end(self, verdict: Verdict) -> None:
        self.over = True
        record = self._record
        record.status = record.upstream_status
        record.end = "complete"
        if verdict.policy or verdict.refused:
            self._hooks = None  # there is no such answer
        if verdict.policy:
            record.end, record.error = "blocked", verdict.policy.name
        elif verdict.refused:
            record.end, record.error = "error", verdict.refused.code

    def _closing_metadata(self) -> Mapping[str, Mapping[str, Any]] | None:
        verdicts, tokens = self._replies.verdicts(), self._meter.tokens()
        return {**(verdicts or {}), **({USAGE: self._usage(tokens)} if tokens else {})} or None

    def _usage(self, tokens: dict[str, int]) -> dict[str, Any]:
        record = self._record
        total = tokens["input"] + tokens["output"]
        return {**tokens, "total": total, "model": record.model, "backend": record.backend}

    def drop(self) -> None:
        """Something else is said in its place."""
        self.over = True
        self._hooks = None
        if self._gate:
            self._gate = None
            self._judging.give_up()

    def _blocked(self, policy: Policy) -> list[Effect]:
        self.drop()
        return [self._replies.block(policy, "answer")]

    # the gate

    def gated(self, effects: list[Effect]) -> list[Effect]:
        """What may leave now of what has been said so far."""
        gate, answer = self._gate, self._answer
        if gate is None or any(isinstance(each, events.DropTrailers) and each.request for each in effects):
            return effects  # those are nothing of the answer
        words = answer.said.copy()
        answer.said.clear()
        leaving = gate.take(effects, words, end=self.over)
        ruling = self._ask_hooks(held=gate.waits) if self.over else None
        told = self._said(leaving)
        if ruling and (ruling.policy or ruling.refused):
            return told + self._stopped(ruling.policy, ruling.refused)
        if gate.held > self._most and not isinstance(
            answer, WholeAnswer | ElementsAnswer
        ):  # those have a limit of their own
            message = f"More than {self._most} bytes would have to be held back."
            return told + self._stopped(None, Refused(502, "upstream_too_large", message, "upstream_error"))
        return told

    def _ask_hooks(self, *, held: bool) -> Ruling | None:
        hooks, self._hooks = self._hooks, None
        return hooks.ended(held=held) if hooks else None

    def news(self) -> list[Effect]:
        """Services have answered. Raises as ``body``."""
        if self._gate is None:
            return []
        policy, refused = self._judging.blocked, self._judging.refused
        return self._stopped(policy, refused) if policy or refused else self._said(self._gate.open())

    def _said(self, effects: list[Effect]) -> list[Effect]:
        """What leaves the gate; an end says what is known now, not when it came to the gate."""
        for each in effects:
            if isinstance(each, events.Send) and each.metadata is not None:
                each.metadata = self._closing_metadata()
        return effects

    def _stopped(self, policy: Policy | None, refused: Refused | None) -> list[Effect]:
        """What waits at the gate does not leave; the answer ends here."""
        gate, self._gate = self._gate, None
        self._judging.give_up()
        refused = refused or undecided("answer")
        if gate is None or not gate.begun:
            if policy:
                return self._blocked(policy)
            raise refused
        if policy:
            refused = Refused(policy.status, policy.name, blocked(policy, "stream"), "policy_violation")
        ending = self._answer.stop(refused, policy)
        self._end(ending)
        return [events.Send(ending.body, not self._trailers, self._closing_metadata()), *self._trailers]
