"""The exchange of the guard: a filter on traffic that others route. Nothing is routed, keyed or converted.

What no policy touches goes on as it came, headers too. Credentials are the client's own business with whoever the mesh
sends it to; so are its path, and errors of Envoy's own.
"""

from __future__ import annotations

import math
from typing import Any, Final

from extproc import events, operations
from extproc.errors import Refused
from extproc.events import Effect, Headers, Mutation, Pairs
from extproc.exchange import attest, inbound
from extproc.exchange import headers as hygiene
from extproc.exchange.answer import Answer, Inspection, ObservedAnswer, WholeAnswer, answer_for, decoder_for
from extproc.exchange.bodies import Body, is_opaque, unread
from extproc.exchange.elements import ElementsAnswer
from extproc.exchange.hooks import Hooks
from extproc.exchange.inbound import Decided
from extproc.exchange.inspecting import Inspecting
from extproc.exchange.receiving import note_sound
from extproc.exchange.sending import written
from extproc.exchange.state import State
from extproc.formats import openai_audio
from extproc.formats.registry import FORMATS
from extproc.framing.jsontext import dump, set_member
from extproc.operations import Asked, Operation
from extproc.policy.chain import Chain

CLUSTER: Final = "xds.cluster_name"
ATTEMPT: Final = "upstream.request_attempt_count"
"""Response attributes: where the mesh has sent a request, and how often."""

_OTHER_METHOD: Final = ("x-http-method-override", "x-http-method", "x-method-override")
"""Headers by which some servers take a request for one of another method."""

_ANY: Final = FORMATS[openai_audio.NAME]
_SIGNED: Final = "AWS4-"
"""As the Authorization headers of AWS's signatures begin, version 4 and 4A."""


class GuardExchange(Inspecting):
    """See ``Inspecting``."""

    mode = "guard"

    # the request

    def _request_headers(self, event: events.RequestHeaders) -> list[Effect]:
        self._begin(event)
        if attest.MARK in event.headers:
            return self._attested()
        path = own_path(event.headers.get(":path", ""), self._runtime.config.guard.prefixes)
        self._speak(operations.spoken(path, operations.hint(event.headers)))
        method = event.headers.get(":method", "")
        if method == "OPTIONS" and event.end:
            return self._let_go("preflight")
        asked = None if "upgrade" in event.headers else self._find(method, path, event.headers)
        if asked is None or asked.operation is Operation.HEALTH:
            return self._unknown(method)
        if asked.operation is Operation.MODELS and not event.end:  # it has no body, or is something else
            return self._unknown(method)
        self._take(asked)
        if is_opaque(self._format):
            return self._unread(asked)
        if asked.operation is Operation.MODELS:  # there is nothing of anybody's in it
            return self._let_go(asked.operation)
        return self._want_body(asked, end=event.end)

    def _find(self, method: str, path: str, headers: Headers) -> Asked | None:
        return operations.find(method, path, operations.hint(headers)) or self._runtime.named.find(method, path)

    def _unknown(self, method: str) -> list[Effect]:
        guard = self._runtime.config.guard
        if any(name in self._headers for name in _OTHER_METHOD):
            method = "POST"
        path = own_path(operations.plain(self._headers.get(":path", "")), guard.prefixes)
        if guard.unknown == "block" or operations.disguised(method, path):
            message = "The gateway cannot read this operation, and lets nothing pass unseen."
            raise Refused(403, "unknown_operation", message, "permission_error")
        self.record.unscanned = ["operation"]
        return self._let_go("unknown")

    def _unread(self, asked: Asked) -> list[Effect]:
        """Nobody looks into it: policies that judge by other things decide here."""
        self._choose_policies("")
        read = unread(b"")
        decided = inbound.decide(self._format, self._armed, self._traits, read.raw, read.value, self._tally)
        if said := self._ruled(decided):
            return said
        written(read, decided.sent)
        return self._let_go(asked.operation, tuple(decided.headers.items()))

    def _let_go(self, operation: str, said: Pairs = ()) -> list[Effect]:
        """It goes on, and nobody looks at its answer."""
        self._state = State.DONE
        self.record.operation, self.record.end = operation, "passed"
        return [events.ContinueRequest(Mutation(set=said, remove=self._ours())), events.Close()]

    def _ours(self) -> tuple[str, ...]:
        """Names of headers that the client has, and that are ours to say."""
        return tuple(name for name in self._headers if name.startswith(hygiene.PREFIX))

    def _model(self, body: dict[str, Any]) -> str:
        named = (self._asked.model if self._asked else None) or self._format.model(body)
        return inbound.check_model(named, ()) if named else ""

    def _forward(self, decided: Decided, read: Body, received: bytes) -> list[Effect]:
        raw = self._renamed(decided)
        remove = self._ours()
        given = self._headers.get("authorization", "")
        signed = given.startswith(_SIGNED)
        said: Pairs = tuple(decided.headers.items())
        if not (signed and "accept-encoding" in given.lower()):  # a signed one has to stay: answers are decoded anyway
            said += (("accept-encoding", "identity"),)
        body = None
        if raw is not read.raw:
            if signed:
                message = "What a policy would take out of this request cannot be taken out: its client has signed it."
                raise Refused(403, "signed_request", message, "permission_error")
            body, media = written(read, raw)
            said += (("content-type", media), ("content-length", str(len(body))))
            remove += tuple(name for name in hygiene.CHANGED if name in self._headers and name != "content-length")
        self._state, self._idle = State.SENT, math.inf  # how long an answer may be silent, others decide
        told = self._replies.verdicts()  # for the filters after this one
        mutation = Mutation(set=said, remove=remove, metadata=told)
        return [events.ContinueRequest(mutation) if self._bare else events.ContinueBody(body, mutation)]

    def _renamed(self, decided: Decided) -> bytes:
        """The request's JSON, with the model that a policy has chosen in the place of the client's."""
        asked = self._asked or Asked(Operation.CHAT)
        if decided.model == self.record.model:
            return decided.sent
        if asked.model is not None:
            self.record.losses.append("model: the path names it, and paths are not changed here")
            return decided.sent
        return set_member(decided.sent, "model", dump(decided.model))

    # the answer

    def _replied(self, event: events.ResponseHeaders) -> None:
        self.record.backend = str(event.attributes.get(CLUSTER, ""))
        self.record.attempts = int(event.attributes.get(ATTEMPT, 0))

    def _of_envoy(self, event: events.ResponseHeaders, status: int, details: str) -> list[Effect]:
        """Envoy's own replies, and those of the mesh's other filters, pass as they are."""
        return self._passed(event, status)

    def _passed(self, event: events.ResponseHeaders, status: int) -> list[Effect]:
        self._state = State.DONE if event.end else State.PASSED
        self.record.request_id = self.record.request_id or hygiene.request_id({})
        self.record.status, self.record.end = status, "passed"
        return [events.ContinueResponse()]

    def _passed_body(self, event: events.ResponseBody) -> list[Effect]:
        if event.end:
            self._state = State.DONE
        return [events.Send(event.body, event.end)]

    def _passed_trailers(self, event: events.ResponseTrailers) -> list[Effect]:
        self._state = State.DONE
        return [events.DropTrailers(request=False, names=())]

    def _receive(
        self, event: events.ResponseHeaders, status: int, chain: Chain, *, listens: bool
    ) -> tuple[Answer, Mutation, Hooks | None]:
        asked = self._asked or Asked(Operation.CHAT)
        looked = Inspection(
            self._runtime,
            chain,
            self._tally,
            self._meter,
            self._format,
            listens=listens,
            hooks=self._hooks(listed=False),
            passes=True,
        )
        media = event.headers.get("content-type", "").partition(";")[0].strip().lower()
        note_sound(looked, asked.operation, media, self.record)
        good = 200 <= status < 300 or media == self._format.framing.media  # a stream is one whatever its status
        if not good:  # whosever error it is, every string of it is looked at: the provider's, or a page of some proxy
            looked.format, looked.text = _ANY, not media.endswith("json")
        answer: Answer
        if event.end:
            answer = ObservedAnswer(looked, streamed=False)
        else:
            answer = answer_for(event.headers, 200 if good else status, looked)
        if asked.listed and good and isinstance(answer, WholeAnswer):
            decoder = decoder_for(event.headers, self._runtime.config.gateway.max_body)
            answer = ElementsAnswer(looked, decoder)
        remove = [name for name in event.headers if name.startswith(hygiene.PREFIX)]
        remove += [name for name in hygiene.CHANGED if name in event.headers] if answer.changes else []
        return answer, Mutation(remove=tuple(remove)), looked.hooks


def own_path(target: str, prefixes: list[str]) -> str:
    """A request's path as the API has it, without what a mesh puts before it; ``prefixes``: from long to short."""
    for prefix in prefixes:
        if target.startswith(f"{prefix}/"):
            return target.removeprefix(prefix)
    return target
