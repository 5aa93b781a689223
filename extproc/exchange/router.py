"""The exchange of the gateway's router filter: requests go to model groups, answers come from whichever backend replied.

Everything the upstream filter needs to know goes into dynamic metadata; nothing is remembered for it here.
"""

from __future__ import annotations

from typing import Any

from extproc import events
from extproc.errors import Refused
from extproc.events import Effect, Mutation
from extproc.exchange import attest, inbound, signatures
from extproc.exchange import headers as hygiene
from extproc.exchange.answer import Answer, answer_for
from extproc.exchange.bodies import Body
from extproc.exchange.forward import Replied, Sent, forward, replied
from extproc.exchange.hooks import Hooks
from extproc.exchange.inbound import Decided
from extproc.exchange.inspecting import Inspecting
from extproc.exchange.receiving import Received, inspection, refusal, told_back
from extproc.exchange.replies import of_envoy
from extproc.exchange.sending import estimate, send
from extproc.exchange.state import State
from extproc.operations import Asked, Operation
from extproc.policy.chain import Chain


class RouterExchange(Inspecting):
    """See ``Inspecting``."""

    mode = "gateway"
    _sent: Sent | None = None
    _by: Replied | None = None

    def _request_headers(self, event: events.RequestHeaders) -> list[Effect]:
        self._begin(event)
        if attest.MARK in event.headers:
            return self._attested()
        asked = inbound.asked(event.headers, self._runtime.named)
        self._take(asked)
        if asked.operation is Operation.HEALTH:
            return self._respond(200, b"alive\n", "health", "text/plain; charset=utf-8")
        if asked.operation is Operation.MODELS:
            return self._models(asked)
        return self._want_body(asked, end=event.end)

    def _models(self, asked: Asked) -> list[Effect]:
        names = self._runtime.models()
        if asked.model is None:
            return self._respond(200, self._format.models(names), "models")
        if asked.model not in names:
            raise Refused(404, "model_not_found", "There is no such model here.")
        return self._respond(200, self._format.model_card(asked.model), "models")

    def _verify(self, body: bytes) -> None:
        runtime = self._runtime
        if runtime.aws_keys and self._format.family == "aws":
            signatures.check(self._headers, body, runtime.aws_keys, self._now())

    def _model(self, body: dict[str, Any]) -> str:
        return inbound.model(self._asked, self._format, self._headers, body, self._runtime)

    def _forward(self, decided: Decided, read: Body, received: bytes) -> list[Effect]:
        passage = self._asked.passage if self._asked else None
        of_models = self._runtime.group(decided.model)
        group = self._runtime.passages[passage.group] if passage and passage.group else of_models
        if group is None or self._asked is None:
            raise Refused(404, "model_not_found", "There is no such model here.")
        self.record.group = group.name
        if counted := estimate(self._asked, group, decided):
            return self._respond(200, counted, "counted")
        sent = send(self._asked, self._headers, group, decided, self.record, read, received)
        effects: list[Effect] = [forward(self._headers, sent, self._now(), bare=self._bare)]
        self._idle = group.idle_timeout
        self._state = State.SENT
        self._sent = sent
        return effects

    def _replied(self, event: events.ResponseHeaders) -> None:
        by = self._by = replied(self._sent, event)
        self.record.backend, self.record.attempts, self.record.upstream_format = by.backend, by.attempts, by.format
        self.record.losses += by.losses

    def _receive(
        self, event: events.ResponseHeaders, status: int, chain: Chain, *, listens: bool
    ) -> tuple[Answer, Mutation, Hooks | None]:
        if self._sent is None or self._by is None or (status in (401, 403) and not self._sent.group.client_key):
            raise refusal(status)
        if 300 <= status < 400 or status < 200:
            raise Refused(502, "upstream_redirect", "The provider answered with a redirect.", "api_error")
        received = Received(self._format, self._sent, self._by, event.headers, status)
        looked = inspection(received, self._runtime, self.record, self._tally, self._meter, int(self._now()))
        looked.chain, looked.listens, looked.hooks = chain, listens, self._hooks(listed=looked.listed)
        answer = answer_for(event.headers, status, looked)
        return answer, told_back(received, looked, self._now(), changed=answer.changes), looked.hooks

    def _of_envoy(self, event: events.ResponseHeaders, status: int, details: str) -> list[Effect]:
        if details == "cors_response":  # Envoy's CORS filter answered a browser's preflight before us; it has no body
            self._state = State.DONE
            self.record.operation, self.record.status, self.record.end = "preflight", status, "complete"
            return [events.ContinueResponse()]
        self.record.request_id = self.record.request_id or hygiene.request_id(self._headers)
        raise of_envoy(status)
