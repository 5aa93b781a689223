"""The service: one exchange per gRPC stream, bytes to bytes. What every transport calls, whatever its loop looks like.

Owns: the choice of the exchange by the calling filter, the record of its end, and the one place where any exception
becomes a failed stream. A stream that fails closes with an error, never cleanly: to Envoy a clean end means "pass
everything on".
"""

from __future__ import annotations

import asyncio
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from extproc import wire
from extproc.budget import Budget
from extproc.errors import ProtocolError
from extproc.events import Close, Effect
from extproc.exchange.base import Exchange
from extproc.exchange.guarding import GuardExchange
from extproc.exchange.judging import Found, Question
from extproc.exchange.router import RouterExchange
from extproc.exchange.shadow import ShadowExchange
from extproc.exchange.upstream import UpstreamExchange
from extproc.metrics import Counters
from extproc.operations import Operation
from extproc.runtime import Runtime
from extproc.telemetry import Log, Record

Judge = Callable[[Question], Awaitable[Found]]
"""Asks a policy's service."""

FILTER = "x-llm-filter"
"""gRPC metadata that names the calling filter: ``router``, ``upstream``, ``guard`` or ``shadow``."""

ROUTE = "x-llm-route"
"""gRPC metadata in which a filter may name its route, for what is attached to it."""

_LATE_MOST = 256
"""Exchanges that are over and whose records wait for services."""


class StreamFailed(Exception):
    """The gRPC stream must end with an error. The text is constant: it reaches Envoy's logs."""


@dataclass(slots=True)
class Turn:
    """What one message led to: messages to send, and whether the stream is then closed cleanly."""

    messages: list[bytes]
    close: bool = False


class Session:
    """One gRPC stream."""

    __slots__ = ("_ended", "_exchange", "_service")

    def __init__(self, exchange: Exchange, service: Service) -> None:
        self._exchange = exchange
        self._service = service
        self._ended = False

    def message(self, data: bytes) -> Turn:
        """Take one ProcessingRequest.

        Raises:
            StreamFailed: nothing more can be said; the stream must end with an error.
        """
        try:
            effects = self._exchange.receive(wire.decode(data, headers=self._exchange.reads_headers))
            self._carry_questions()
            return _turn(effects)
        except ProtocolError as error:
            self._service.fault("protocol", "Envoy broke the order of the protocol", what=str(error))
            raise StreamFailed("llm-extproc: protocol error") from None
        except Exception as error:
            self._service.fault("internal", "an exchange failed and was closed", where=_where(error))
            raise StreamFailed("llm-extproc: internal error") from None

    def _carry_questions(self) -> None:
        for question in self._exchange.questions():
            self._service.ask(self, question)

    def told(self, question: Question, found: Found) -> None:
        """A service has answered; ``tick`` acts on it."""
        self._exchange.told(question, found)

    @property
    def answered(self) -> bool:
        """Whether the last message that matters has been answered."""
        return self._exchange.answered

    @property
    def held(self) -> int:
        """Bytes of the answer held back or collected."""
        return self._exchange.held

    @property
    def due(self) -> float | None:
        """When ``tick`` is to be called, in the service's clock; None for never."""
        return self._exchange.due

    def tick(self) -> Turn:
        """Time has passed: what is to be said now, unasked.

        Raises:
            StreamFailed: as ``message``.
        """
        try:
            effects = self._exchange.tick()
            self._carry_questions()
            return _turn(effects)
        except Exception as error:
            self._service.fault("internal", "an exchange failed and was closed", where=_where(error))
            raise StreamFailed("llm-extproc: internal error") from None

    def incoming(self, by: int) -> bool:
        """So many bytes more (or, negative, less) of messages are waiting to be whole or taken; False if that is too much.

        That is for whoever wants more: to a stream that gives some back, or wants none, it is no reason to end.
        """
        return self._service.within_budget(by) or by <= 0

    def overloaded(self) -> Turn:
        """What to say instead of waiting for more; nothing where it is too late for that. Not during ``message``."""
        return _turn(self._exchange.overloaded())

    def end(self) -> None:
        """The stream is over, however it ended. May be called more than once."""
        if not self._ended:
            self._ended = True
            self._service.over(self, self._exchange.finish())

    def add_late(self) -> None:
        """Put what services have said since the end into the exchange's record."""
        try:
            self._exchange.add_late()
        except Exception as error:  # its record is to be written all the same
            self._service.fault("internal", "an exchange failed and was closed", where=_where(error))


def _turn(effects: list[Effect]) -> Turn:
    close = bool(effects) and isinstance(effects[-1], Close)
    return Turn([wire.encode(effect) for effect in (effects[:-1] if close else effects)], close)


class Service:
    """Opens sessions on the runtime that is current at that moment, and knows all that are open.

    ``judge`` carries a question to its service; whatever it raises counts as "no answer".
    """

    def __init__(
        self,
        runtime: Callable[[], Runtime],
        log: Log,
        counters: Counters | None = None,
        judge: Judge | None = None,
    ) -> None:
        self._runtime = runtime
        self._log = log
        self._counters = counters or Counters()
        self._open: dict[Session, Callable[[Session], None]] = {}
        self._budget = Budget(sys.maxsize)
        self._judge = judge
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asking: dict[Session, dict[asyncio.Task[None], Question]] = {}
        self._late: dict[asyncio.Task[None], list[asyncio.Task[None]]] = {}

    def open(
        self, filter_name: str, wake: Callable[[Session], None] = lambda session: None, route: str = ""
    ) -> Session:
        """The session for a filter. ``wake`` is called when its ``tick`` is due; ``route``: see ``ROUTE``.

        Raises:
            StreamFailed: no such filter.
        """
        session = Session(self._exchange(filter_name, route), self)
        self._open[session] = wake
        return session

    def _exchange(self, filter_name: str, route: str) -> Exchange:
        runtime = self._runtime()
        filter_name = filter_name or runtime.config.guard.unnamed
        if filter_name == "upstream":
            return UpstreamExchange(runtime)
        self._budget.limit = runtime.config.processor.max_in_flight
        if filter_name == "router":
            return RouterExchange(runtime, self._budget, route=route)
        if filter_name == "guard":
            return GuardExchange(runtime, self._budget, route=route)
        if filter_name == "shadow":
            return ShadowExchange(runtime, self._budget, route=route)
        raise StreamFailed("llm-extproc: unknown filter")

    # questions to services

    def ask(self, session: Session, question: Question) -> None:
        """Carry a question to its service, and the answer to the session. From any thread."""
        if self._loop is None:
            session.told(question, Found(failed=True))
        elif _runs(self._loop):  # at once: the session may end before the loop's next round
            self._carry(session, question)
        else:
            self._loop.call_soon_threadsafe(self._carry, session, question)

    def _carry(self, session: Session, question: Question) -> None:
        if session not in self._open:
            return
        task = asyncio.ensure_future(self._carried(session, question))
        tasks = self._asking.setdefault(session, {})
        tasks[task] = question
        task.add_done_callback(lambda done: tasks.pop(done, None))

    async def _carried(self, session: Session, question: Question) -> None:
        try:
            if self._judge is None:
                raise RuntimeError("nobody to ask")
            async with asyncio.timeout(question.policy.moderation.deadline):
                found = await self._judge(question)
        except Exception as error:
            found = Found(failed=True)
            self.fault(
                "moderation", "a moderation service gave no answer", policy=question.policy.name, where=_where(error)
            )
        session.told(question, found)
        if wake := self._open.get(session):
            wake(session)

    def within_budget(self, by: int) -> bool:
        """Take (or, negative, give back) bytes of the budget; returns whether it still holds."""
        return self._budget.change(by)

    def over(self, session: Session, record: Record | None) -> None:
        """A session has ended. What only watches may still say something: its record is written after that."""
        self._open.pop(session, None)
        late = []
        for task, question in list(self._asking.pop(session, {}).items()):
            needless = question.policy.enforced and record is not None and record.mode != "shadow"
            if record is None or needless or len(self._late) >= _LATE_MOST:
                task.cancel()
            else:
                late.append(task)
        if record and late:
            waiting = asyncio.ensure_future(self._record_after(late, session, record))
            self._late[waiting] = late
            waiting.add_done_callback(lambda done: self._late.pop(done, None))
        elif record:
            if record.mode == "shadow":  # it may have waited for what nobody is asked any more
                session.add_late()
            self._write(record)

    async def _record_after(self, late: list[asyncio.Task[None]], session: Session, record: Record) -> None:
        await asyncio.wait(late)
        session.add_late()
        self._write(record)

    async def aclose(self) -> None:
        """Wait for nobody any more: write the records that are left."""
        for asked in self._late.values():
            for each in asked:
                each.cancel()
        await asyncio.gather(*self._late)

    def _write(self, record: Record) -> None:
        if record.operation == Operation.HEALTH:  # asked every few seconds, and says nothing
            return
        self._counters.exchange(record)
        try:
            self._log.exchange(record)
        except OSError:  # a full disk, a pipe nobody reads: the answer is out, and the next one must go out too
            self._counters.add("extproc_faults", "log")

    def fault(self, kind: str, message: str, **details: str) -> None:
        """Something failed that must not."""
        self._counters.add("extproc_faults", kind)
        self._log.notice(f"{kind}-error", message, **details)

    @property
    def open_count(self) -> int:
        """Sessions under way."""
        return len(self._open)

    @property
    def held(self) -> int:
        """Bytes held by all sessions."""
        return self._budget.used

    def wake(self, now: float) -> None:
        """Wake every session that is due."""
        for session, wake in list(self._open.items()):
            due = session.due
            if due is not None and due <= now:
                wake(session)

    async def tick_forever(self, every: float = 0.25) -> None:
        """Wake sessions as they become due, until cancelled."""
        self._loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(every)
            self.wake(time.perf_counter())


def _runs(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether this is called in that loop."""
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:  # in a thread
        return False


def _where(error: Exception) -> str:
    """Type and place of an exception, without its text: that may hold content."""
    frames = traceback.extract_tb(sys.exc_info()[2])
    last = frames[-1] if frames else None
    return (
        f"{type(error).__name__} at {last.filename.rpartition('/')[2]}:{last.lineno}" if last else type(error).__name__
    )
