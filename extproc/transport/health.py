"""The gRPC health checking protocol (grpc.health.v1) on the native transport."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from grpc_health.v1 import health_pb2

from extproc.transport import grpc_wire
from extproc.transport.grpc_wire import Messages, Status
from extproc.transport.http2.stream import Stream

CHECK: Final = "/grpc.health.v1.Health/Check"
WATCH: Final = "/grpc.health.v1.Health/Watch"
METHODS: Final = (CHECK, WATCH)

_Response = health_pb2.HealthCheckResponse
_LARGEST: Final = 1024


class Health:
    """What is told of the services of one server."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = frozenset(services)
        self._stopping = False
        self._watchers: set[Question] = set()

    def status(self, service: str) -> int | None:
        """A service's status; None for one that is not here."""
        if service not in self._services:
            return None
        return int(_Response.NOT_SERVING if self._stopping else _Response.SERVING)

    def stop(self) -> None:
        """Say from now on that nothing is served, and end all watching."""
        self._stopping = True
        for each in list(self._watchers):
            each.tell(last=True)
            each.flush()

    def watch(self, question: Question) -> None:
        """Tell it how things stand, and of changes."""
        self._watchers.add(question)
        question.tell(last=self._stopping)

    def forget(self, question: Question) -> None:
        """Tell it nothing more."""
        self._watchers.discard(question)


class Question:
    """One call of ``Check`` or ``Watch``."""

    def __init__(self, health: Health, stream: Stream, watching: bool, flush: Callable[[], None]) -> None:
        self._health = health
        self._stream = stream
        self._watching = watching
        self.flush = flush
        self._messages = Messages(_LARGEST)
        self._service: str | None = None
        self._begun = self._over = False

    def received(self, data: bytes, ended: bool) -> None:
        """See ``Receiver``."""
        try:
            for message in self._messages.feed(data):
                self._asked(message)
            if ended and self._service is None:
                raise Status(grpc_wire.INTERNAL, "llm-extproc: no question")
        except Status as status:
            self._finish(status.code, status.text)

    def gone(self) -> None:
        """See ``Receiver``."""
        self._over = True
        self._health.forget(self)

    def _asked(self, message: bytes) -> None:
        if self._over or self._service is not None:
            return
        try:
            self._service = health_pb2.HealthCheckRequest.FromString(message).service
        except Exception:  # protobuf raises its own, unrelated types in its several implementations
            raise Status(grpc_wire.INTERNAL, "llm-extproc: not a HealthCheckRequest") from None
        if self._watching:
            self._health.watch(self)
        elif self._health.status(self._service) is None:
            raise Status(grpc_wire.NOT_FOUND, "llm-extproc: no such service")
        else:
            self.tell(last=True)

    def tell(self, *, last: bool) -> None:
        """Say how things stand now; with ``last`` nothing follows."""
        status = self._health.status(self._service or "")
        self._say(int(_Response.SERVICE_UNKNOWN) if status is None else status)
        if last:
            self._finish(grpc_wire.OK)

    def _say(self, status: int) -> None:
        if not self._begun:
            self._begun = True
            self._stream.headers(grpc_wire.BEGIN)
        self._stream.send(grpc_wire.packed(_Response(status=status).SerializeToString()))

    def _finish(self, code: int, text: str = "") -> None:
        if not self._over:
            self._over = True
            self._health.forget(self)
            self._stream.finish(grpc_wire.trailers(code, text, begun=self._begun))
