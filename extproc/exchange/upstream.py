"""The exchange as the upstream filter sees it: one attempt at one backend, after Envoy has chosen it.

Owns: the path, the authority, the credential and the model's name. It never refuses and never looks at answers: what a
backend can do was decided by the router filter. Headers are shared by all attempts, so every credential of an earlier
one is removed first.
"""

from __future__ import annotations

from typing import Any, Final

from extproc import events
from extproc.errors import ProtocolError
from extproc.events import Effect, Mutation
from extproc.exchange.forward import ATTEMPT, DECISION, UPSTREAM
from extproc.exchange.headers import other_credentials
from extproc.framing.jsontext import dump, set_member
from extproc.runtime import Backend, Runtime

BACKEND: Final = "xds.upstream_host_metadata.filter_metadata['extproc']['backend']"


class UpstreamExchange:
    """One attempt. Headers in, and where the model is renamed the body too; then the gRPC stream is closed."""

    reads_headers = False
    """Names are set and removed whatever they say now."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._body: bytes | None = None
        self._model = ""
        self._backend: Backend | None = None
        self.answered = False

    def receive(self, event: events.Event) -> list[Effect]:
        """Take one event.

        Raises:
            ProtocolError: Envoy broke the order, or the attempt lacks what the router filter decided.
        """
        if isinstance(event, events.RequestHeaders) and self._backend is None:
            return self._headers(event)
        if isinstance(event, events.RequestBody) and self._backend is not None and not self.answered:
            return self._rename(event, self._backend)
        raise ProtocolError(f"{type(event).__name__} in an upstream filter")

    def _headers(self, event: events.RequestHeaders) -> list[Effect]:
        decision: Any = event.metadata.get(DECISION, {})
        backend = self._runtime.backend(str(event.attributes.get(BACKEND, "")))
        if backend is None or not decision.get("model"):
            raise ProtocolError("an attempt without a decision")
        self._backend = backend
        self._model = backend.upstream_model(str(decision["model"]))
        mutation = self._mutation(backend, event)
        if event.end or self._model == decision["model"]:
            # Nothing to change in the body: Envoy sends it on as the router filter left it.
            self.answered = True
            return [events.ContinueRequest(mutation), events.Close()]
        return [events.ContinueRequest(mutation)]

    def _mutation(self, backend: Backend, event: events.RequestHeaders) -> Mutation:
        attempt = event.attributes.get(ATTEMPT, 1)
        return Mutation(
            set=backend.own_headers(),
            remove=other_credentials(backend.own_credential),
            metadata={UPSTREAM: {"backend": backend.name, "attempts": attempt, "client_key": backend.client_key}},
        )

    def _rename(self, event: events.RequestBody, backend: Backend) -> list[Effect]:
        body = set_member(event.body, "model", dump(self._model))
        self.answered = True
        headers = (("content-length", str(len(body))),)
        return [events.ContinueBody(body, Mutation(set=headers)), events.Close()]
