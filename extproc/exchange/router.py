"""The exchange as the router filter sees it: the whole request, and the answer of whichever backend replied.

Owns: the decisions. Who may pass, what is redacted, which model group serves, what the client gets. Everything the
upstream filter needs to know goes into dynamic metadata; nothing is remembered for it here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from extproc import events
from extproc.budget import Budget
from extproc.errors import Refused
from extproc.events import Effect, Mutation
from extproc.exchange import headers as hygiene
from extproc.exchange import inbound
from extproc.exchange.answer import Answer, Verdict, WholeAnswer, answer_for
from extproc.exchange.bodies import Body, takes_forms
from extproc.exchange.forward import Sent, forward, replied
from extproc.exchange.gate import Gate
from extproc.exchange.inbound import Decided
from extproc.exchange.judging import Found, Judging, Question
from extproc.exchange.receiving import Received, inspection, refusal, told_back
from extproc.exchange.replies import Replies, blocked, of_envoy
from extproc.exchange.sending import send
from extproc.exchange.state import State, step
from extproc.formats.registry import CHAT, FORMATS
from extproc.operations import Asked, Operation, spoken
from extproc.policy.api import Outcome, Phase, Policy, Tally
from extproc.policy.attach import Traits, claims
from extproc.policy.vault import Vault
from extproc.runtime import Runtime
from extproc.telemetry import Record
from extproc.usage import Meter

USAGE: Final = "llm.extproc.usage"
"""Dynamic metadata: tokens by kind."""


class RouterExchange:
    """One HTTP exchange. ``receive`` each event and perform the effects in order; ``finish`` once it is over.

    Args:
        runtime: the configuration it keeps to its end.
        budget: bytes that all exchanges of the worker may hold together.
        clock: monotonic seconds.
        now: Unix time in seconds, for answers that carry one.
    """

    reads_headers = True

    def __init__(
        self,
        runtime: Runtime,
        budget: Budget | None = None,
        clock: Callable[[], float] = time.perf_counter,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._runtime = runtime
        self._format = FORMATS[CHAT]
        self._clock = clock
        self._now = now
        self._state = State.START
        self._headers: events.Headers = {}
        self._asked: Asked | None = None
        self._traits = Traits()
        self._decided: Decided | None = None
        self._received = b""
        self._body = Body(b"")
        self._found: list[tuple[Question, Found]] = []
        self._answer_policies: tuple[Policy, ...] = ()
        self._vault: Vault | None = None
        self._parallel: list[Question] = []
        self._gate: Gate | None = None
        self._trailers: list[events.DropTrailers] = []  # what to say of the answer's, once they have come
        self._tally = Tally()
        self._judging = Judging(self._tally)
        self._meter = Meter(self._format)
        self._answer: Answer | None = None
        self._sent: Sent | None = None
        self._back = Mutation()
        self._started = self._heard = self._spoke = clock()
        self._busy = 0.0
        self._idle = 0.0
        self._budget = budget or Budget(sys.maxsize)
        self._counted = 0
        self.record = Record(generation=runtime.generation)
        self._armed = runtime.attached.usual
        self._replies = Replies(runtime, self.record, self._tally, self._format)

    def __repr__(self) -> str:
        return f"<RouterExchange {self.record.request_id or '-'} {self._state.name}>"

    @property
    def answered(self) -> bool:
        """Whether the last message that matters has been answered; if not, only an error may end the gRPC stream."""
        return self._state is State.DONE and not (self._gate and self._gate.waits)

    def receive(self, event: events.Event) -> list[Effect]:
        """Take one event; returns what Envoy is to be told.

        Raises:
            ProtocolError: Envoy broke the order.
        """
        begun = self._heard = self._clock()
        method = getattr(self, f"_{step(self._state, event)}")
        try:
            effects: list[Effect] = self._gated(method(event))
            self._account()
        except Refused as refused:
            effects = self._gated(self._refuse(refused))
        return self._timed(effects, begun)

    def overloaded(self) -> list[Effect]:
        """There is no room to take more: refuse now, if a body is awaited. Before, nobody has said yet who is refused."""
        if self._state is not State.BODY:
            return []
        return self._refuse(Refused(503, "overloaded", "The gateway is overloaded.", "api_error"))

    def _timed(self, effects: list[Effect], begun: float) -> list[Effect]:
        now = self._clock()
        self._busy += now - begun
        if effects:
            self._spoke = now
        return effects

    @property
    def held(self) -> int:
        """Bytes that are held back or collected: of the answer, or of a request that waits to be judged."""
        held = self._gate.held if self._gate else 0
        if self._state is State.JUDGED and self._decided:
            held += len(self._received) + len(self._decided.sent)
        return held + (self._answer.held if self._answer and self._state is State.ANSWER else 0)

    def _account(self) -> None:
        """Tell the budget what this exchange holds now.

        Raises:
            Refused: all exchanges together hold too much; this one, which wants more, ends.
        """
        held = self.held
        grown, self._counted = held - self._counted, held
        if grown and not self._budget.change(grown) and grown > 0:
            self._budget.change(-held)  # at once, not when its stream ends: or all that grow would be refused together
            self._counted = 0
            raise Refused(503, "overloaded", "The gateway is overloaded.", "api_error")

    @property
    def due(self) -> float | None:
        """When ``tick`` is to be called, on the exchange's clock; None for never."""
        if self._judging.has_news:
            return 0.0
        answer, gate = self._answer, self._gate
        if answer is None or not answer.speaks:
            return None
        under_way = self._state is State.ANSWER
        waits = (gate.begun and gate.waits) if gate else (under_way and answer.committed and answer.held)
        waits = waits and bool(self._format.framing.keep_alive)
        alive = self._spoke + self._runtime.config.processor.keep_alive if waits else None
        if not under_way:
            return alive  # the provider is done; the client may still wait for a judgement
        stall = self._heard + self._idle
        return min(stall, alive) if alive is not None else stall

    def tick(self) -> list[Effect]:
        """Time has passed with nothing new: end an answer that has gone silent, or keep the client's connection alive."""
        due, answer = self.due, self._answer
        now = self._clock()
        if due is None or now < due:
            return []
        try:
            if self._judging.has_news:
                effects = self._news()
                self._account()
                return self._timed(effects, now)
            if answer is None:
                return []
            if self._state is State.ANSWER and now >= self._heard + self._idle:
                refused = Refused(
                    504, "upstream_stalled", "The provider stopped in the middle of its answer.", "api_error"
                )
                return self._timed(self._gated(self._tell(answer.stop(refused))), now)
        except Refused as refused:
            return self._timed(self._refuse(refused), now)
        return self._timed([events.Send(self._format.framing.keep_alive, False)], now)

    def finish(self) -> Record:
        """The exchange is over, however it ended; returns its record for the log."""
        self._budget.change(-self._counted)
        self._counted = 0
        self._judging.give_up()
        record = self.record
        record.latency_ms = round((self._clock() - self._started) * 1000, 3)
        record.overhead_ms = round(self._busy * 1000, 3)
        record.tokens = self._meter.tokens()
        self._sum_up()
        if self._state is not State.DONE:
            record.end = "cut"
        self._decided = self._answer = self._gate = None  # the record may wait for services: not the texts with it
        self._received = b""
        return record

    def add_late(self) -> None:
        """Services that only watch have answered since ``finish``: that is in the record, too."""
        self._judging.news()
        self._sum_up()

    def _sum_up(self) -> None:
        record = self.record
        record.verdicts = self._tally.rows()
        record.outcome = "block" if record.end == "blocked" else self._tally.strongest().value

    # the request

    def _request_headers(self, event: events.RequestHeaders) -> list[Effect]:
        self._headers = event.headers
        self._traits = Traits(headers=event.headers, attributes=event.attributes, claims=claims(event.metadata))
        self.record.request_id = hygiene.request_id(event.headers)
        anthropic = "anthropic-version" in event.headers
        self._speak(spoken(event.headers.get(":path", ""), anthropic=anthropic))
        asked = self._asked = inbound.asked(event.headers)
        self._speak(asked.format)
        self.record.operation, self.record.format = asked.operation.value, asked.format
        if asked.operation is Operation.HEALTH:
            return self._respond(200, b"alive\n", "health", "text/plain; charset=utf-8")
        if asked.operation is Operation.MODELS:
            return self._models(asked)
        if event.end:
            raise Refused(400, "empty_body", "The request has no body.")
        hygiene.check_body(event.headers, forms=takes_forms(self._format))
        self._state = State.BODY
        return [events.ContinueRequest()]

    def _speak(self, format_: str) -> None:
        """From here on the client is spoken to in this format."""
        self._format = self._replies.format = FORMATS.get(format_, self._format)
        self._meter = Meter(self._format)

    def _models(self, asked: Asked) -> list[Effect]:
        names = self._runtime.models()
        if asked.model is None:
            return self._respond(200, self._format.models(names), "models")
        if asked.model not in names:
            raise Refused(404, "model_not_found", "There is no such model here.")
        return self._respond(200, self._format.model_card(asked.model), "models")

    def _request_body(self, event: events.RequestBody) -> list[Effect]:
        if self._budget.full:
            raise Refused(503, "overloaded", "The gateway is overloaded.", "api_error")
        runtime = self._runtime
        read = self._body = inbound.read(self._headers, event.body, runtime.config.gateway.max_body, self._format)
        raw, body = read.raw, read.value
        in_path = self._asked.model if self._asked else None
        model = self.record.model = inbound.check_model(in_path or self._format.model(body), runtime.models())
        in_path_too = self._asked.stream if self._asked else None
        self.record.stream = self._format.streamed(body) if in_path_too is None else in_path_too
        self._choose_policies(model)
        decided = inbound.decide(self._format, self._armed, self._traits, raw, body, self._tally)
        self.record.unscanned = decided.unscanned
        self.record.verdict = max(decided.outcome, self._tally.strongest(), key=list(Outcome).index).value
        if decided.outcome is Outcome.BLOCK and decided.policy:
            return self._blocked(decided.policy, "request", decided.why, decided.param)
        if decided.outcome is Outcome.REPLY:
            return self._reply(decided.reply)
        self._decided = decided
        self._answer_policies, self._vault = decided.answer, decided.vault
        self._received = event.body
        self._judging.request_id, self._judging.caller = self.record.request_id, self._traits.caller()
        asked = self._judging.ask(self._armed.moderated, Phase.REQUEST, decided.texts)
        self._parallel = [each for each in asked if not each.waits]
        if self._judging.waits:
            self._state = State.JUDGED
            return []
        return self._go_on()

    def _go_on(self) -> list[Effect]:
        """The request is good: on it goes."""
        decided, self._decided = self._decided, None
        if decided is None:
            return []
        received, self._received = self._received, b""
        body, self._body = self._body, Body(b"")
        group = self._runtime.group(decided.model)
        if group is None or self._asked is None:
            raise Refused(404, "model_not_found", "There is no such model here.")
        self.record.group = group.name
        sent = send(self._asked, self._headers, group, decided, self.record, body, received)
        effects: list[Effect] = [forward(self._headers, sent, self._now())]
        self._idle = group.idle_timeout
        self._state = State.SENT
        self._sent = sent
        return effects

    def _choose_policies(self, model: str) -> None:
        runtime, traits = self._runtime, self._traits
        traits.operation, traits.model = self.record.operation, model
        armed = runtime.attached.choose(traits)
        wish = runtime.overrides.wish(traits, armed.policies)
        self._armed = runtime.attached.choose(traits, wish) if wish else armed
        self._replies.armed = self._armed.header

    def _request_without_body(self, event: events.RequestTrailers) -> list[Effect]:
        raise Refused(400, "empty_body", "The request has no body.")

    def _request_trailers(self, event: events.RequestTrailers) -> list[Effect]:
        return [events.DropTrailers(request=True, names=event.names)]

    def _ignore(self, event: events.Event) -> list[Effect]:
        return []

    # the answer

    def _response_headers(self, event: events.ResponseHeaders) -> list[Effect]:
        by = replied(self._sent, event)
        self.record.backend, self.record.attempts, self.record.upstream_format = by.backend, by.attempts, by.format
        self.record.losses += by.losses
        status = int(event.headers.get(":status", "0"))
        self.record.upstream_status = status
        details = event.attributes.get("response.code_details", "via_upstream")
        if details == "cors_response":
            return self._preflight(status)
        if details != "via_upstream":
            return self._local_reply(status)
        if self._judging.blocked:
            return self._blocked(self._judging.blocked, "request")
        if self._judging.refused:
            raise self._judging.refused
        if self._state is not State.SENT:
            raise Refused(502, "undecided", "The gateway could not decide about this request.", "api_error")
        if self._sent is None or (status in (401, 403) and not self._sent.group.client_key):
            raise refusal(status)
        hide = self._vault.hide if self._vault else str
        gate = Gate(self._judging, self._armed.moderated, self._parallel, hide) if self._armed.moderated else None
        listens = gate is not None and gate.listens
        chain = self._armed.chain.joined(self._answer_policies)
        received = Received(self._format, self._sent, by, event.headers, status)
        looked = inspection(received, self._runtime, self.record, self._tally, self._meter, int(self._now()))
        looked.chain, looked.listens = chain, listens
        self._answer = answer_for(event.headers, status, looked)
        self._gate = gate if listens or self._judging.waiting(self._parallel) else None
        self._back = told_back(received, looked, self._now(), changed=self._answer.changes)
        self._state = State.ANSWER
        return self._tell(self._answer.close()) if event.end else []

    def _response_body(self, event: events.ResponseBody) -> list[Effect]:
        if self._answer is None:
            return []
        verdict = self._answer.feed(event.body)
        if event.end and not verdict.end:
            verdict = verdict.then(self._answer.close())
        return self._tell(verdict)

    def _response_trailers(self, event: events.ResponseTrailers) -> list[Effect]:
        if self._answer is None:
            return []
        effects = self._tell(self._answer.close(), trailers=True)
        self._trailers.append(events.DropTrailers(request=False, names=event.names))
        return [*effects, *self._trailers]

    def _tell(self, verdict: Verdict, *, trailers: bool = False) -> list[Effect]:
        """Turn what the answer came to into effects; its headers leave with the first byte a client can notice."""
        answer = self._answer
        if answer is None:
            return []
        if verdict.refused and not answer.committed and not verdict.commit:
            if verdict.policy:
                return self._blocked(verdict.policy, "answer")
            raise verdict.refused
        effects: list[Effect] = []
        if verdict.commit:
            self.record.first_byte_ms = round((self._clock() - self._started) * 1000, 3)
            effects.append(
                events.ContinueResponse(
                    Mutation(set=(*self._replies.headers(self._busy), *self._back.set), remove=self._back.remove)
                )
            )
            answer.committed = True
        if verdict.end:
            self._end(verdict)
        if verdict.body or verdict.end:
            effects.append(events.Send(verdict.body, verdict.end and not trailers, self._closing_metadata(verdict)))
        return effects

    def _end(self, verdict: Verdict) -> None:
        self._state = State.DONE
        self.record.status = self.record.upstream_status
        self.record.end = "complete"
        if verdict.policy:
            self.record.end, self.record.error = "blocked", verdict.policy.name
        elif verdict.refused:
            self.record.end = "error"
            self.record.error = verdict.refused.code

    def _closing_metadata(self, verdict: Verdict) -> Mapping[str, Mapping[str, Any]] | None:
        if not verdict.end:
            return None
        verdicts, tokens = self._replies.verdicts(), self._meter.tokens()
        return {**(verdicts or {}), **({USAGE: tokens} if tokens else {})} or None

    def _preflight(self, status: int) -> list[Effect]:
        """Envoy's CORS filter answered a browser's preflight before us; it has no body."""
        self._state = State.DONE
        self.record.operation, self.record.status, self.record.end = "preflight", status, "complete"
        return [events.ContinueResponse()]

    def _local_reply(self, status: int) -> list[Effect]:
        """Envoy answered itself: no backend, a timeout, a body too large. Said again in the client's format."""
        self.record.request_id = self.record.request_id or hygiene.request_id(self._headers)
        raise of_envoy(status)

    # what services say

    def questions(self) -> list[Question]:
        """Questions that nobody has carried to their services yet."""
        asked, self._judging.asked = self._judging.asked, []
        return asked

    def told(self, question: Question, found: Found) -> None:
        """A service has answered; ``tick`` acts on it. May be called from any thread, at any time."""
        self._judging.told(question, found)

    def _news(self) -> list[Effect]:
        news = self._judging.news()
        policy, refused = self._judging.blocked, self._judging.refused
        if self._state is State.JUDGED:
            return self._judged(news)
        if self._gate is None:  # the request is on its way: said when the answer's headers come
            return []
        if policy is None and refused is None:
            return self._said(self._gate.open())
        return self._stopped(policy, refused)

    def _judged(self, news: list[tuple[Question, Found]]) -> list[Effect]:
        if self._judging.blocked:
            return self._blocked(self._judging.blocked, "request")
        if self._judging.refused:
            raise self._judging.refused
        self._found += news
        if self._judging.waits or self._decided is None:
            return []
        if any(any(found.spans) for _, found in self._found):
            inbound.redact(self._format, self._decided, self._found)
        return self._go_on()

    def _stopped(self, policy: Policy | None, refused: Refused | None) -> list[Effect]:
        """What waits at the gate does not leave; the answer ends here."""
        gate, self._gate = self._gate, None
        answer = self._answer
        if gate is None or answer is None:
            return []
        self._judging.give_up()
        if not gate.begun:
            if policy:
                return self._blocked(policy, "answer")
            raise refused or Refused(503, "undecided", "The answer could not be judged.", "api_error")
        if policy:
            refused = Refused(policy.status, policy.name, blocked(policy, "stream"), "policy_violation")
        ending = answer.stop(
            refused or Refused(503, "undecided", "The answer could not be judged.", "api_error"), policy
        )
        self._end(ending)
        return [events.Send(ending.body, not self._trailers, self._closing_metadata(ending)), *self._trailers]

    def _gated(self, effects: list[Effect]) -> list[Effect]:
        """What may leave now of what has been said so far."""
        gate, answer = self._gate, self._answer
        if gate is None or answer is None:
            return effects
        if any(isinstance(each, events.DropTrailers) and each.request for each in effects):
            return effects  # nothing of the answer
        if any(isinstance(each, events.Respond) for each in effects):
            self._gate = None
            self._judging.give_up()
            return effects
        words = answer.said.copy()
        answer.said.clear()
        told = self._said(gate.take(effects, words, end=self._state is State.DONE))
        most = self._runtime.config.processor.max_held
        if gate.held > most and not isinstance(answer, WholeAnswer):  # those have a limit of their own
            message = f"More than {most} bytes would have to be held back."
            return told + self._stopped(None, Refused(502, "upstream_too_large", message, "upstream_error"))
        return told

    def _said(self, effects: list[Effect]) -> list[Effect]:
        """What leaves the gate; an end says what is known now, not when it came to the gate."""
        for each in effects:
            if isinstance(each, events.Send) and each.metadata is not None:
                each.metadata = self._closing_metadata(Verdict(end=True))
        return effects

    # answers of our own

    def _respond(self, status: int, body: bytes, code: str, media: str = "application/json") -> list[Effect]:
        self._state = State.DONE
        return [self._replies.say(status, body, code, self._busy, media=media)]

    def _refuse(self, refused: Refused) -> list[Effect]:
        self._state = State.DONE
        if self._decided:  # it was to be judged
            self._decided = None
            self._judging.give_up()
        return [self._replies.refuse(refused, self._busy)]

    def _blocked(self, policy: Policy, what: str, why: str = "", param: str = "") -> list[Effect]:
        self._state = State.DONE
        return [self._replies.block(policy, what, int(self._now()), self._busy, why, param)]

    def _reply(self, text: str) -> list[Effect]:
        self._state = State.DONE
        return [self._replies.reply(text, int(self._now()), self._busy)]
