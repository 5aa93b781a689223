"""An exchange under inspection: the whole request, and its answer. What the gateway and the guard have in common.

Owns: the decisions. Who may pass, what is redacted, what the client gets. Where requests go on, ``router`` and
``guarding`` know.
"""

from __future__ import annotations

import sys
import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from extproc import events
from extproc.budget import Budget
from extproc.errors import Refused
from extproc.events import Effect, Mutation
from extproc.exchange import attest, inbound
from extproc.exchange import headers as hygiene
from extproc.exchange.answer import Answer, StreamAnswer
from extproc.exchange.base import Exchange
from extproc.exchange.bodies import Body, is_opaque, takes_forms
from extproc.exchange.gate import Gate
from extproc.exchange.hooks import Hooks
from extproc.exchange.inbound import Decided
from extproc.exchange.judging import Found, Judging, Question, undecided
from extproc.exchange.outgoing import Outgoing
from extproc.exchange.replies import Replies
from extproc.exchange.state import State, step
from extproc.formats import generic
from extproc.formats.registry import CHAT, FORMATS
from extproc.operations import Asked, Passage, hint, spoken
from extproc.policy.api import Outcome, Phase, Policy, Tally, stronger
from extproc.policy.attach import Traits, claims
from extproc.policy.chain import Chain
from extproc.policy.vault import Vault
from extproc.runtime import Runtime
from extproc.telemetry import Record
from extproc.usage import Meter


class Inspecting(Exchange):
    """One HTTP exchange. ``receive`` each event and perform the effects in order; ``finish`` once it is over.

    Args:
        runtime: the configuration it keeps to its end.
        budget: bytes that all exchanges of the worker may hold together.
        clock: monotonic seconds.
        now: Unix time in seconds, for answers that carry one.
        route: what the calling filter calls this route.
    """

    mode = ""
    """As in ``Record``."""

    def __init__(
        self,
        runtime: Runtime,
        budget: Budget | None = None,
        clock: Callable[[], float] = time.perf_counter,
        now: Callable[[], float] = time.time,
        route: str = "",
    ) -> None:
        self._runtime = runtime
        self._format = FORMATS[CHAT]
        self._clock = clock
        self._now = now
        self._route = route
        self._state = State.START
        self._headers: events.Headers = {}
        self._asked: Asked | None = None
        self._traits = Traits()
        self._decided: Decided | None = None
        self._received = b""
        self._bare = False  # the request has no body
        self._body = Body(b"")
        self._found: list[tuple[Question, Found]] = []
        self._answer_policies: tuple[Policy, ...] = ()
        self._vault: Vault | None = None
        self._parallel: list[Question] = []
        self._tally = Tally()
        self._judging = Judging(self._tally)
        self._meter = Meter(self._format)
        self._answer: Outgoing | None = None
        self._started = self._heard = self._spoke = clock()
        self._idle = 0.0
        self._budget = budget or Budget(sys.maxsize)
        self._counted = 0
        self.record = Record(generation=runtime.generation, mode=self.mode)
        self._armed = runtime.attached.usual
        self._replies = Replies(runtime, self.record, self._tally, self._format, now)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.record.request_id or '-'} {self._state.name}>"

    @property
    def answered(self) -> bool:  # type: ignore[override]
        """See ``Exchange``."""
        return self._state is State.DONE and not (self._answer and self._answer.waits)

    def receive(self, event: events.Event) -> list[Effect]:
        """See ``Exchange``."""
        begun = self._heard = self._clock()
        take = getattr(self, f"_{step(self._state, event)}")
        try:
            effects: list[Effect] = self._gated(take(event))
            self._account()
        except Refused as refused:
            effects = self._refuse(refused)
        return self._timed(effects, begun)

    def overloaded(self) -> list[Effect]:
        """Refuse now, if a body is awaited. Before, nobody has said yet who is refused."""
        if self._state is not State.BODY:
            return []
        return self._refuse(Refused(503, "overloaded", "The gateway is overloaded.", "api_error"))

    def _timed(self, effects: list[Effect], begun: float) -> list[Effect]:
        now = self._clock()
        self._replies.busy += now - begun
        if effects:
            self._spoke = now
        return effects

    @property
    def held(self) -> int:
        """Bytes that are held back or collected: of the answer, or of a request that waits to be judged."""
        if self._state is State.JUDGED and self._decided:
            return len(self._received) + len(self._decided.sent)
        return self._answer.held if self._answer else 0

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
        answer = self._answer
        if answer is None or not answer.speaks:
            return None
        waits = answer.silent and bool(self._format.framing.keep_alive)
        alive = self._spoke + self._runtime.config.processor.keep_alive if waits else None
        if self._state is not State.ANSWER:
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
                return self._timed(self._gated(answer.stop(refused)), now)
        except Refused as refused:
            return self._timed(self._refuse(refused), now)
        return self._timed([events.Send(self._format.framing.keep_alive, False)], now)

    @property
    def waits(self) -> bool:
        """Whether a service has been asked, and nothing more can be said before it has answered."""
        return self._state is State.JUDGED or (self._answer is not None and self._answer.waits)

    def finish(self) -> Record:
        """See ``Exchange``."""
        self._budget.change(-self._counted)
        self._counted = 0
        self._judging.give_up()
        record = self.measure()
        self._decided = self._answer = None  # the record may wait for services: not the texts with it
        self._received = b""
        return record

    def add_late(self) -> None:
        """See ``Exchange``."""
        self._judging.news()
        self._sum_up()

    def measure(self) -> Record:
        """The record as far as it goes."""
        record = self.record
        record.latency_ms = round(self._elapsed(), 3)
        record.overhead_ms = round(self._replies.busy * 1000, 3)
        record.tokens = self._meter.tokens()
        self._sum_up()
        if self._state is not State.DONE:
            record.end = "cut"
        return record

    def _sum_up(self) -> None:
        record = self.record
        record.verdicts = self._tally.rows()
        record.outcome = "block" if record.end == "blocked" else self._tally.strongest().value

    # the request

    def _begin(self, event: events.RequestHeaders) -> None:
        self._headers = event.headers
        self._traits = Traits(
            headers=event.headers, attributes=event.attributes, claims=claims(event.metadata), route=self._route
        )
        self.record.request_id = hygiene.request_id(event.headers)
        self._speak(spoken(event.headers.get(":path", ""), hint(event.headers)))

    def _attested(self) -> list[Effect]:
        """Somebody wants to know whether this filter is attached: answered here, it goes nowhere."""
        return self._respond(200, attest.answer(self._headers, self.record, self.mode), "attested")

    def _take(self, asked: Asked) -> None:
        """This is what the client asks for."""
        self._asked = asked
        self._speak(asked.format, asked.passage)
        self._replies.listed = asked.listed
        self.record.operation, self.record.format = str(asked.operation), asked.format

    @abstractmethod
    def _request_headers(self, event: events.RequestHeaders) -> list[Effect]:
        """Find out what is asked for."""

    @abstractmethod
    def _model(self, body: dict[str, Any]) -> str:
        """The name of the model that a request is for.

        Raises:
            Refused: it is none.
        """

    @abstractmethod
    def _forward(self, decided: Decided, read: Body, received: bytes) -> list[Effect]:
        """The request is good: how it goes on. ``received`` is the body that came, ``read`` what it was read as.

        Raises:
            Refused: it cannot.
        """

    @abstractmethod
    def _receive(
        self, event: events.ResponseHeaders, status: int, chain: Chain, *, listens: bool
    ) -> tuple[Answer, Mutation, Hooks | None]:
        """An answer as it is to be inspected, what becomes of its headers, and the code that wants to see it.

        Raises:
            Refused: it cannot be inspected.
        """

    @abstractmethod
    def _of_envoy(self, event: events.ResponseHeaders, status: int, details: str) -> list[Effect]:
        """Envoy has answered itself: no backend, a timeout, a body too large, a preflight.

        Raises:
            Refused: in what words the client is told.
        """

    def _verify(self, body: bytes) -> None:
        """See that a signed request is signed well.

        Raises:
            Refused: it is not.
        """

    def _replied(self, event: events.ResponseHeaders) -> None:
        """Note who has answered."""

    def _want_body(self, asked: Asked, *, end: bool) -> list[Effect]:
        """Its body comes next; ``end``: there is none."""
        if is_opaque(self._format):
            hygiene.check_unread(self._headers)
        elif not end:
            hygiene.check_body(self._headers, forms=takes_forms(self._format))
        if end:
            return self._bare_request(asked)
        self._state = State.BODY
        return [events.ContinueRequest()]

    def _bare_request(self, asked: Asked) -> list[Effect]:
        """There is no body: only operations that the configuration names can do without."""
        if asked.passage is None:
            raise Refused(400, "empty_body", "The request has no body.")
        self._bare = True
        return self._request_body(events.RequestBody(b"", True))

    def _speak(self, format_: str, passage: Passage | None = None) -> None:
        """From here on the client is spoken to in this format."""
        before = self._format
        told = generic.told(format_, passage.words, before) if passage else FORMATS.get(format_, before)
        if told is not before:
            self._format = self._replies.format = told
            self._meter = Meter(told)

    def _request_body(self, event: events.RequestBody) -> list[Effect]:
        if self._budget.full:
            raise Refused(503, "overloaded", "The gateway is overloaded.", "api_error")
        self._verify(event.body)
        read = self._body = inbound.read(self._headers, event.body, self._runtime.config.gateway.max_body, self._format)
        raw, body = read.raw, read.value
        model = self.record.model = self._model(body)
        in_path_too = self._asked.stream if self._asked else None
        self.record.stream = self._format.streamed(body) if in_path_too is None else in_path_too
        self._choose_policies(model)
        decided = inbound.decide(
            self._format, self._armed, self._traits, raw, body, self._tally, stream=self.record.stream
        )
        if said := self._ruled(decided):
            return said
        self._decided = decided
        self._answer_policies, self._vault = decided.answer, decided.vault
        self._received = event.body
        if self._armed.moderated and self._asks(decided):
            self._state = State.JUDGED
            return []
        return self._go_on()

    def _ruled(self, decided: Decided) -> list[Effect]:
        """What is said in the place of a request that does not go on; nothing where it does.

        Raises:
            Refused: nobody could decide.
        """
        self.record.unscanned = decided.unscanned
        self.record.verdict = stronger(decided.outcome, self._tally.strongest()).value
        if decided.failed:
            raise undecided()
        if decided.outcome is Outcome.BLOCK and decided.policy:
            return self._blocked(decided.policy, "request", decided.why, decided.param)
        return self._reply(decided.reply) if decided.outcome is Outcome.REPLY else []

    def _asks(self, decided: Decided) -> bool:
        """Ask services about a request; returns whether it waits for one."""
        self._judging.request_id, self._judging.caller = self.record.request_id, self._traits.caller()
        asked = self._judging.ask(self._armed.moderated, Phase.REQUEST, decided.texts)
        self._parallel = [each for each in asked if not each.waits]
        return self._judging.waits

    def _go_on(self) -> list[Effect]:
        decided, received, body = self._decided, self._received, self._body
        self._decided, self._received, self._body = None, b"", Body(b"")
        return self._forward(decided, body, received) if decided else []

    def _choose_policies(self, model: str) -> None:
        runtime, traits = self._runtime, self._traits
        traits.operation, traits.model = self.record.operation, model
        armed = runtime.attached.choose(traits)
        wish = runtime.overrides.wish(traits, armed.policies)
        armed = runtime.attached.choose(traits, wish) if wish else armed
        self._armed = armed.blind() if is_opaque(self._format) else armed
        self._replies.armed = self._armed.header

    def _request_without_body(self, event: events.RequestTrailers) -> list[Effect]:
        raise Refused(400, "empty_body", "The request has no body.")

    def _request_trailers(self, event: events.RequestTrailers) -> list[Effect]:
        return [events.DropTrailers(request=True, names=event.names)]

    def _ignore(self, event: events.Event) -> list[Effect]:
        return []

    # the answer

    def _response_headers(self, event: events.ResponseHeaders) -> list[Effect]:
        self._replied(event)
        status = int(event.headers.get(":status", "0"))
        self.record.upstream_status = status
        details = event.attributes.get("response.code_details", "via_upstream")
        if details != "via_upstream":
            return self._of_envoy(event, status, details)
        if self._judging.blocked:
            return self._blocked(self._judging.blocked, "request")
        if self._judging.refused:
            raise self._judging.refused
        if self._state is not State.SENT:
            raise Refused(502, "undecided", "The gateway could not decide about this request.", "api_error")
        hide = self._vault.hide if self._vault else str
        gate = Gate(self._judging, self._armed.moderated, self._parallel, hide) if self._armed.moderated else None
        listens = gate is not None and gate.listens
        chain = self._armed.chain.joined(self._answer_policies)
        answer, back, hooks = self._receive(event, status, chain, listens=listens)
        self._answer = Outgoing(
            answer,
            gate if listens or self._judging.waiting(self._parallel) else None,
            back,
            self._judging,
            self._replies,
            self._meter,
            self.record,
            self._elapsed,
            self._runtime.config.processor.max_held,
            hooks if isinstance(answer, StreamAnswer) else None,
        )
        self._state = State.ANSWER
        return self._answer.end() if event.end else []

    def _hooks(self, *, listed: bool) -> Hooks | None:
        if not (policies := self._armed.responses):
            return None
        caller, say = self._traits.caller(), self._replies.whole
        return Hooks(policies, self._format, caller, self._tally, say, self._runtime.config, listed=listed)

    def _elapsed(self) -> float:
        return (self._clock() - self._started) * 1000

    def _response_body(self, event: events.ResponseBody) -> list[Effect]:
        return self._answer.body(event.body, end=event.end) if self._answer else []

    def _response_trailers(self, event: events.ResponseTrailers) -> list[Effect]:
        return self._answer.trailers(event.names) if self._answer else []

    # what services say

    def questions(self) -> list[Question]:
        """See ``Exchange``."""
        asked, self._judging.asked = self._judging.asked, []
        return asked

    def told(self, question: Question, found: Found) -> None:
        """See ``Exchange``."""
        self._judging.told(question, found)

    def _news(self) -> list[Effect]:
        news = self._judging.news()
        if self._state is State.JUDGED:
            return self._judged(news)
        if self._answer is None:  # the request is on its way: said when the answer's headers come
            return []
        effects = self._answer.news()
        self._settle()
        return effects

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

    def _gated(self, effects: list[Effect]) -> list[Effect]:
        """What may leave now of what has been said so far."""
        if self._answer is None:
            return effects
        effects = self._answer.gated(effects)
        self._settle()
        return effects

    def _settle(self) -> None:
        if self._answer and self._answer.over:
            self._state = State.DONE

    # answers of our own

    def _respond(self, status: int, body: bytes, code: str, media: str = "application/json") -> list[Effect]:
        self._state = State.DONE
        return [self._replies.say(status, body, code, media=media)]

    def _refuse(self, refused: Refused) -> list[Effect]:
        self._state = State.DONE
        if self._decided:  # it was to be judged
            self._decided = None
            self._judging.give_up()
        if self._answer:
            self._answer.drop()
        return [self._replies.refuse(refused)]

    def _blocked(self, policy: Policy, what: str, why: str = "", param: str = "") -> list[Effect]:
        self._state = State.DONE
        return [self._replies.block(policy, what, why, param)]

    def _reply(self, text: str) -> list[Effect]:
        self._state = State.DONE
        return [self._replies.reply(text)]
