"""One call of ``Process`` on the native transport: messages to a session, its answers back, a safe end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Final

from extproc.service import FILTER, Service, Session, StreamFailed, Turn
from extproc.transport import grpc_wire
from extproc.transport.grpc_wire import Messages, Status
from extproc.transport.http2.headers import Headers
from extproc.transport.http2.stream import Stream

_LARGE: Final = 1 << 18
"""Bytes whose inspection may take tens of milliseconds: longer than the event loop may stand still."""
_INTERNAL: Final = "llm-extproc: internal error"
_UNFINISHED: Final = "llm-extproc: unfinished"


class Call:
    """See ``http2.connection.Receiver``.

    Args:
        service: opens the session.
        stream: the stream it answers on.
        headers: of its request.
        max_message: longest message, in bytes.
        thread: inspects large texts.
        flush: to be called after anything that happened outside ``received``.

    Raises:
        Status: no session for this call.
    """

    def __init__(
        self,
        service: Service,
        stream: Stream,
        headers: Headers,
        max_message: int,
        thread: Executor,
        flush: Callable[[], None],
    ) -> None:
        self._stream = stream
        self._messages = Messages(max_message)
        self._thread = thread
        self._flush = flush
        self._waiting: deque[bytes] = deque()
        self._begun = self._ended = self._over = self._large = False
        self._deadline: asyncio.TimerHandle | None = None
        try:
            self._session: Session = service.open(headers.get(FILTER, ""), self._wake)
        except StreamFailed as failure:
            raise Status(grpc_wire.INTERNAL, str(failure)) from None

    def end_within(self, seconds: float) -> None:
        """The caller waits no longer than this."""
        self._deadline = asyncio.get_running_loop().call_later(seconds, self._too_late)

    def received(self, data: bytes, ended: bool) -> None:
        """See ``Receiver``."""
        if self._over:
            return
        self._ended = ended
        try:
            for message in self._messages.feed(data):
                self._waiting.append(message)
            self._work()
        except Status as status:
            self._finish(status.code, status.text)
        except Exception:
            self._finish(grpc_wire.INTERNAL, _INTERNAL)  # never a clean end

    def gone(self) -> None:
        """See ``Receiver``."""
        self._over = True
        self._close()

    def _work(self) -> None:
        """Take what waits, as long as it can be done here and now."""
        waiting = self._waiting
        while waiting and not self._large and not self._over:
            message = waiting.popleft()
            if len(message) + self._session.held < _LARGE:
                self._do(self._session.message, message)
            else:
                self._inspect(message)
        if self._ended and not waiting and not self._large and not self._over:
            self._end()

    def _do(self, step: Callable[..., Turn], *arguments: bytes) -> None:
        try:
            self._say(step(*arguments))
        except StreamFailed as failure:
            self._finish(grpc_wire.INTERNAL, str(failure))

    def _say(self, turn: Turn) -> None:
        stream = self._stream
        for message in turn.messages:
            if not self._begun:
                self._begun = True
                stream.headers(grpc_wire.BEGIN)
            stream.send(grpc_wire.packed(message))
        if turn.close:
            self._end()

    def _end(self) -> None:
        if self._session.answered:
            self._finish(grpc_wire.OK)
        else:  # never a clean end before that, whoever wants it: to Envoy it means "pass it all on"
            self._finish(grpc_wire.CANCELLED, _UNFINISHED)

    def _finish(self, code: int, text: str = "") -> None:
        if self._over:
            return
        self._over = True
        if code != grpc_wire.OK:
            self._stream.discard()
        self._stream.finish(grpc_wire.trailers(code, text, begun=self._begun))
        self._close()

    def _close(self) -> None:
        self._waiting.clear()
        if self._deadline:
            self._deadline.cancel()
        if not self._large:  # else when the thread is done with it
            self._session.end()

    def _too_late(self) -> None:
        self._finish(grpc_wire.DEADLINE_EXCEEDED, "llm-extproc: the caller's deadline has passed")
        self._flush()

    # large texts

    def _inspect(self, message: bytes) -> None:
        self._large = True
        self._stream.pause()
        loop = asyncio.get_running_loop()
        work = self._thread.submit(self._session.message, message)
        work.add_done_callback(lambda done: loop.call_soon_threadsafe(self._inspected, done))

    def _inspected(self, work: Future[Turn]) -> None:
        self._large = False
        if self._over:
            self._session.end()
            return
        self._stream.resume()
        try:
            self._do(work.result)
            self._work()
        except Exception:
            self._finish(grpc_wire.INTERNAL, _INTERNAL)
        self._flush()

    # time

    def _wake(self, session: Session) -> None:
        """Time has passed for a session that may now want to speak."""
        if not self._large and not self._over:
            self._do(session.tick)
            self._flush()
