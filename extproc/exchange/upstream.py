"""The exchange as the upstream filter sees it: one attempt at one backend, after Envoy has chosen it.

Owns: the path, the authority, the credential and the body in the backend's own format. It never refuses and never looks at
answers: what a backend can do was decided by the router filter. Headers are shared by all attempts, so every credential
of an earlier one is removed first, and what an earlier one said of its body is said anew. The body is always the client's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from extproc import events
from extproc.chat.losses import Losses
from extproc.errors import DecodeError, LimitExceeded, ProtocolError, Refused, Unrepresentable
from extproc.events import Effect, Mutation
from extproc.exchange.base import Exchange
from extproc.exchange.bodies import Body, is_form, of_form, takes_forms
from extproc.exchange.forward import ATTEMPT, DECISION, UPSTREAM, attempt, own
from extproc.exchange.headers import other_credentials
from extproc.exchange.planning import Plan, Wanted, plan, prepare
from extproc.formats.registry import FORMATS
from extproc.runtime import Runtime

BACKEND: Final = "xds.upstream_host_metadata.filter_metadata['extproc']['backend']"

_LOSSES = 20
"""Losses that are handed over to the router filter, for the log."""


class UpstreamExchange(Exchange):
    """One attempt. Headers in, and where the body changes or is signed that too; then the gRPC stream is closed."""

    reads_headers = False  # few providers take anything of the client's

    def __init__(self, runtime: Runtime, now: Callable[[], float] = time.time) -> None:
        self._runtime = runtime
        self._now = now
        self._plan: Plan | None = None
        self._wanted: Wanted | None = None
        self._request: events.RequestHeaders | None = None
        self._media = ""
        self.answered = False

    def receive(self, event: events.Event) -> list[Effect]:
        """Take one event.

        Raises:
            ProtocolError: Envoy broke the order, or the attempt lacks what the router filter decided.
        """
        try:
            if isinstance(event, events.RequestHeaders) and self._plan is None:
                return self._headers(event)
            if isinstance(event, events.RequestBody) and self._plan is not None and not self.answered:
                return self._body(event, self._plan)
        except (Refused, Unrepresentable, DecodeError, LimitExceeded) as error:
            raise ProtocolError(f"an attempt that cannot be made: {type(error).__name__}") from None
        raise ProtocolError(f"{type(event).__name__} in an upstream filter")

    def _headers(self, event: events.RequestHeaders) -> list[Effect]:
        decision: Any = event.metadata.get(DECISION, {})
        backend = self._runtime.backend(str(event.attributes.get(BACKEND, "")))
        wanted = Wanted.heard(decision)
        found = plan(backend, wanted) if backend and wanted.model else None
        if found is None:
            raise ProtocolError("an attempt without a decision")
        self._plan, self._wanted, self._request = found, wanted, event
        self._media = str(decision.get("media", ""))
        renames = wanted.named and found.call.model != wanted.model
        if event.end or not (found.changes or renames or _signs(found) or (wanted.sealed and not found.converts)):
            # Nothing to change in the body: Envoy sends it on as the router filter left it.
            self.answered = True
            length = str(int(decision.get("length", 0)))
            said = (("content-length", length), ("content-type", self._media))
            return [events.ContinueRequest(self._mutation(found, b"", said)), events.Close()]
        return [events.ContinueRequest()]

    def _body(self, event: events.RequestBody, plan: Plan) -> list[Effect]:
        losses = Losses()
        wanted = self._wanted or Wanted("", "", "", stream=False)
        read = self._read(event.body, wanted)
        body, media = read.sent(prepare(plan, wanted, read.raw, None, losses))
        self.answered = True
        mutation = self._mutation(plan, body, (("content-length", str(len(body))), ("content-type", media)), losses)
        return [events.ContinueBody(body if body is not event.body else None, mutation), events.Close()]

    def _read(self, body: bytes, wanted: Wanted) -> Body:
        """The body as the router filter has left it; forms that may change are read again."""
        format_ = FORMATS.get(wanted.format)
        if format_ and is_form(self._media) and takes_forms(format_):
            return of_form(format_, self._media, body)
        return Body(body)

    def _mutation(self, plan: Plan, body: bytes, more: events.Pairs, losses: Losses | None = None) -> Mutation:
        backend, request = plan.backend, self._request
        attributes = request.attributes if request else {}
        said: dict[str, Any] = {
            "backend": backend.name,
            "attempts": attributes.get(ATTEMPT, 1),
            "client_key": backend.client_key,
            "format": plan.call.format,
            "losses": "; ".join([f"{path}: {why}" for path, why in losses.found[:_LOSSES]]) if losses else "",
        }
        made = attempt(plan, request.headers if request else {}, body, self._now())
        return Mutation(
            set=(*made, *more),
            remove=(*other_credentials(own(backend, made)), *backend.foreign),
            metadata={UPSTREAM: said},
        )


def _signs(plan: Plan) -> bool:
    credential = plan.backend.credential
    return credential is not None and credential.needs_body
