"""The reference transport: grpc.aio, for any address.

Stands on: gRPC's Python asyncio API and the gRPC health checking protocol (grpc.health.v1).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # we start Envoy, never another gRPC process; must precede grpc

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from extproc.errors import StartupError
from extproc.service import FILTER, ROUTE, Service, Session, StreamFailed, Turn
from extproc.transport.sockets import remove_stale
from extproc.transport.tls import Certificates, admitted
from extproc.wire import METHOD, SERVICE

_SLACK: Final = 1 << 20
"""A message is a body plus its headers, attributes and metadata."""
_WINDOW: Final = 65536
"""How much of a stream may arrive before it is read; longer messages are let in as they are read."""
_LARGE: Final = 1 << 18
"""Bytes whose inspection may take tens of milliseconds."""
_TRY_AGAIN: Final = 0.02
"""Seconds between the first attempts at an address that is about to be free."""
_INTERNAL: Final = "llm-extproc: internal error"


@dataclass(frozen=True, slots=True)
class Admission:
    """TLS: our certificate, and the names in their certificates of those who may call (none: all of that authority)."""

    certificates: Certificates
    names: tuple[str, ...] = ()


class GrpcTransport:
    """See ``base.Transport``.

    Args:
        service: what answers.
        address: ``unix:PATH`` or ``HOST:PORT``.
        max_message: longest body in a message, in bytes.
        patience: seconds in which a server that stops may still hold the address.
        tls: our certificate and whom to admit; None for everybody who reaches the address.
    """

    def __init__(
        self, service: Service, address: str, max_message: int, patience: float = 0.0, tls: Admission | None = None
    ) -> None:
        self._service = service
        self._address = address
        self._patience = patience
        self._tls = tls
        self._large = asyncio.Lock()
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", max_message + _SLACK),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),
                ("grpc.http2.bdp_probe", 0),  # a stream nobody reads must not fill ever larger windows in our memory
                ("grpc.http2.lookahead_bytes", _WINDOW),
            ]
        )
        handler: Any = grpc.stream_stream_rpc_method_handler(self._process)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    async def start(self) -> None:
        """See ``Transport.start``."""
        await self._bind(self._tls.certificates.credentials() if self._tls else None)
        await self._server.start()
        for name in ("", SERVICE):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def _bind(self, credentials: grpc.ServerCredentials | None) -> None:
        """Take the address, as soon as it can be had."""
        deadline, wait = time.monotonic() + self._patience, _TRY_AGAIN
        path = self._socket_path()
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            while path.exists() and time.monotonic() < deadline:  # noqa: ASYNC110  nobody tells us
                await asyncio.sleep(_TRY_AGAIN)  # who stops removes the path, whoever has bound it again by then
            remove_stale(path)
        while True:
            try:
                self._take(credentials)
            except StartupError:
                if time.monotonic() >= deadline:
                    raise
                await asyncio.sleep(wait)
                wait *= 2
            else:
                return

    def _take(self, credentials: grpc.ServerCredentials | None) -> None:
        before = os.umask(0o177)  # the socket is for its owner alone from the first moment
        try:
            if credentials:
                self._server.add_secure_port(self._address, credentials)
            else:
                self._server.add_insecure_port(self._address)
        except RuntimeError as error:
            raise StartupError(f"cannot listen on {self._address}") from error
        finally:
            os.umask(before)

    async def stop(self, grace: float) -> None:
        """See ``Transport.stop``."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace)

    def _socket_path(self) -> Path | None:
        return Path(self._address.removeprefix("unix:")) if self._address.startswith("unix:") else None

    async def _process(self, _: Any, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        if self._tls and not admitted(context.auth_context(), self._tls.names):
            self._service.fault("stranger", "a client that is not among processor.tls.names was refused")
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "llm-extproc: not a client of ours")
        await _Call(self._service, context, self._large).run()


class _Call:
    """One stream. Besides the loop that reads and answers, a session that is woken may speak unasked."""

    def __init__(self, service: Service, context: grpc.aio.ServicerContext[bytes, bytes], large: asyncio.Lock) -> None:
        self._large = large
        self._service = service
        self._context = context
        self._writing = asyncio.Lock()
        self._reader = asyncio.current_task()
        self._speaker: asyncio.Task[None] | None = None
        self._failed = ""
        self._inspecting = False

    async def run(self) -> None:
        """Serve it to its end."""
        session = None
        try:
            session = self._service.open(self._said(FILTER), self._wake, self._said(ROUTE))
            read: Any = self._context.read
            while (data := await read()) is not grpc.aio.EOF:
                small = len(data) + session.held < _LARGE
                turn = session.message(data) if small else await self._message(session, data)
                await self._say(turn)
                if turn.close:
                    break
            if self._failed:
                raise StreamFailed(self._failed)
            if not session.answered:
                # never a clean end before that, whoever wants it: to Envoy it means "pass it all on"
                await self._context.abort(grpc.StatusCode.CANCELLED, "llm-extproc: unfinished")
        except StreamFailed as failure:
            await self._context.abort(grpc.StatusCode.INTERNAL, str(failure))
        except asyncio.CancelledError:
            if not self._context.cancelled():  # not by the peer: Envoy must not wait for what never comes
                await self._abort(self._failed or _INTERNAL)
            raise
        except (grpc.RpcError, grpc.aio.AbortError):  # the stream is gone, or was ended just above
            raise
        except Exception as error:
            self._fault(error)
            await self._abort(_INTERNAL)  # never a clean end: should the peer be there after all, it would pass all on
        finally:
            if self._speaker:
                self._speaker.cancel()
            if session:
                await self._end(session)

    async def _end(self, session: Session) -> None:
        try:
            session.end()
        except Exception as error:
            self._fault(error)
            await self._abort(_INTERNAL)

    def _fault(self, error: Exception) -> None:
        if not type(error).__module__.startswith("grpc"):  # those are a peer that is gone: no fault of ours
            with contextlib.suppress(Exception):  # a log that cannot be written
                self._service.fault("internal", "a stream failed and was closed", where=type(error).__name__)

    async def _message(self, session: Session, data: bytes) -> Turn:
        """A large text takes longer than the loop may stand still: it is inspected in a thread, one at a time."""
        async with self._large:
            self._inspecting = True
            work = asyncio.ensure_future(asyncio.to_thread(session.message, data))
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                await asyncio.wait({work})  # the session is not to be ended under it
                work.exception()
                raise
            finally:
                self._inspecting = False

    async def _abort(self, text: str) -> None:
        """End the stream with an error; its text is constant, and where the stream is gone already nothing happens."""
        with contextlib.suppress(Exception):
            await self._context.abort(grpc.StatusCode.INTERNAL, text)

    def _said(self, name: str) -> str:
        return next((str(value) for key, value in self._context.invocation_metadata() or () if key == name), "")

    async def _say(self, turn: Turn) -> None:
        if turn.messages:
            async with self._writing:
                for message in turn.messages:
                    await self._context.write(message)

    def _wake(self, session: Session) -> None:
        if not self._inspecting and (self._speaker is None or self._speaker.done()):
            self._speaker = asyncio.ensure_future(self._speak(session))

    async def _speak(self, session: Session) -> None:
        try:
            await self._say(session.tick())
        except StreamFailed as failure:
            await self._fail(str(failure))
        except grpc.RpcError:
            return  # the stream ended meanwhile
        except Exception as error:
            self._fault(error)
            await self._fail(_INTERNAL)

    async def _fail(self, text: str) -> None:
        """Have the reader end the stream, but not in the middle of a write: gRPC could not send the end then."""
        self._failed = text
        async with self._writing:
            if self._reader:
                self._reader.cancel()
