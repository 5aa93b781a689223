"""One call of ``Process`` on the native transport: messages to a session, its answers back, a safe end."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, Final

from extproc.service import FILTER, ROUTE, Service, Session, StreamFailed, Turn
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
        self._counted = self._inspecting = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._service = service
        try:
            self._session: Session = service.open(headers.get(FILTER, ""), self._wake, headers.get(ROUTE, ""))
        except StreamFailed as failure:
            raise Status(grpc_wire.INTERNAL, str(failure)) from None
        except Exception as error:
            self._fault(error)
            raise Status(grpc_wire.INTERNAL, _INTERNAL) from None

    def end_within(self, seconds: float) -> None:
        """The caller waits no longer than this."""
        self._deadline = asyncio.get_running_loop().call_later(seconds, self._too_late)

    def received(self, data: bytes, ended: bool) -> None:
        """See ``Receiver``."""
        if self._over:
            return
        self._ended = ended
        self._try(self._read, data)

    def gone(self) -> None:
        """See ``Receiver``."""
        if not self._over:
            self._over = True
            self._close()

    def _try(self, step: Callable[..., None], *arguments: Any) -> None:
        """Whatever goes wrong ends this stream, with an error, and no other."""
        try:
            step(*arguments)
        except StreamFailed as failure:
            self._finish(grpc_wire.INTERNAL, str(failure))
        except Status as status:
            self._finish(status.code, status.text)
        except Exception as error:
            self._finish(grpc_wire.INTERNAL, _INTERNAL)
            self._fault(error)

    def _fault(self, error: Exception) -> None:
        with contextlib.suppress(Exception):  # a log that cannot be written ends no other stream
            self._service.fault("internal", "a stream failed and was closed", where=type(error).__name__)

    def _read(self, data: bytes) -> None:
        self._waiting.extend(self._messages.feed(data))
        self._work()
        self._count_again()

    def _count_again(self) -> None:
        if self._messages.held or self._counted or self._inspecting:
            self._count()

    def _count(self) -> None:
        """Tell the budget what has come and cannot be taken yet; a stream that would have too much of it is answered."""
        held = 0 if self._over else self._messages.held + sum(map(len, self._waiting)) + self._inspecting
        grown, self._counted = held - self._counted, held
        room = self._session.incoming(grown)
        if not room and not self._large:  # else the thread has the session, and what it says comes first
            turn = self._session.overloaded()
            if turn.messages:
                self._say(turn)
                self._end()
        if not self._over:
            self._stream.want(self._messages.missing)

    def _work(self) -> None:
        """Take what waits, as long as it can be done here and now."""
        waiting = self._waiting
        while waiting and not self._large and not self._over:
            message = waiting.popleft()
            if len(message) + self._session.held < _LARGE:
                self._say(self._session.message(message))
            else:
                self._inspect(message)
        if self._ended and not waiting and not self._large and not self._over:
            self._end()

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
        if not self._close():
            code, text = grpc_wire.INTERNAL, _INTERNAL
        if code != grpc_wire.OK:
            self._stream.discard()
        self._stream.finish(grpc_wire.trailers(code, text, begun=self._begun))

    def _close(self) -> bool:
        """End the session, if it can be ended now; returns whether nothing went wrong."""
        self._waiting.clear()
        if self._counted:
            self._session.incoming(-self._counted)
            self._counted = 0
        if self._deadline:
            self._deadline.cancel()
        if self._large:  # it is ended when the thread is done with it
            return True
        try:
            self._session.end()
        except Exception as error:
            self._fault(error)
            return False
        return True

    def _too_late(self) -> None:
        self._finish(grpc_wire.DEADLINE_EXCEEDED, "llm-extproc: the caller's deadline has passed")
        self._flush()

    # large texts

    def _inspect(self, message: bytes) -> None:
        loop = asyncio.get_running_loop()
        work = self._thread.submit(self._session.message, message)
        self._large = True
        self._inspecting = len(message)  # it may have to wait for other streams' messages
        self._stream.pause()
        work.add_done_callback(lambda done: loop.call_soon_threadsafe(self._inspected, done))

    def _inspected(self, work: Future[Turn]) -> None:
        self._large = False
        self._inspecting = 0
        if self._over:
            self._close()
            return
        self._stream.resume()
        self._try(self._go_on, work)
        self._flush()

    def _go_on(self, work: Future[Turn]) -> None:
        self._say(work.result())
        self._work()
        self._count_again()

    # time

    def _wake(self, session: Session) -> None:
        """Time has passed for a session that may now want to speak."""
        if not self._large and not self._over:
            self._try(lambda: self._say(session.tick()))
            self._flush()
