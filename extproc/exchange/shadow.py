"""The exchange in the shadow: it sees what a guard would see, says nothing, and records what the guard would have done.

Envoy (``observability_mode``) sends copies and waits for nothing, so that a request comes in pieces, and its answer while
a service is still asked about the request.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from extproc import events
from extproc.budget import Budget
from extproc.errors import Refused
from extproc.events import Effect
from extproc.exchange import attest
from extproc.exchange.base import Exchange
from extproc.exchange.guarding import GuardExchange
from extproc.exchange.judging import Found, Question
from extproc.exchange.state import State
from extproc.runtime import Runtime
from extproc.telemetry import Record

_EVENT: Final = 256
_PROBES: Final = (b"", b"{}")
"""Bodies of requests that only ask whether we are here; they say nothing."""


class _Guard(GuardExchange):
    """What would have been done."""

    mode = "shadow"

    @property
    def begun(self) -> bool:
        """Whether it has seen anything."""
        return self._state is not State.START

    @property
    def done(self) -> bool:
        """Whether nothing more is to be seen."""
        return self._state is State.DONE

    @property
    def judged(self) -> bool:
        """Whether a service has yet to judge the request."""
        return self._state is State.JUDGED

    @property
    def collects(self) -> bool:
        """Whether the request's body is awaited."""
        return self._state is State.BODY

    def give_up(self, refused: Refused) -> None:
        """Look at nothing more of it."""
        if not self.done:
            self._refuse(refused)

    def _elapsed(self) -> float:
        """To the last event: Envoy may close the stream seconds after it."""
        return (self._heard - self._started) * 1000


class ShadowExchange(Exchange):
    """See ``Exchange``. Arguments as those of ``Inspecting``."""

    answered = True  # nothing that is said or left unsaid here changes anything

    def __init__(
        self,
        runtime: Runtime,
        budget: Budget | None = None,
        clock: Callable[[], float] = time.perf_counter,
        now: Callable[[], float] = time.time,
        route: str = "",
    ) -> None:
        self._budget = budget or Budget(sys.maxsize)
        self._guard = _Guard(runtime, self._budget, clock, now, route)
        self._most = runtime.config.gateway.max_body
        self._body: bytearray | None = bytearray()
        self._later: deque[events.Event] = deque()
        self._held = 0
        self._finished = False
        self._marked: events.RequestHeaders | None = None  # it may be a probe: its body tells

    @property
    def record(self) -> Record:
        """As far as it goes."""
        return self._guard.record

    def receive(self, event: events.Event) -> list[Effect]:
        """See ``Exchange``."""
        if isinstance(event, events.RequestHeaders) and self._may_be_probe(event):
            self._marked = event
        elif isinstance(event, events.RequestBody):
            self._collect(event.body, end=event.end)
        elif isinstance(event, events.RequestTrailers):
            self._collect(b"", end=True)
        else:
            self._see(event)
        return self._over()

    def _over(self) -> list[Effect]:
        """Where nothing more is to be seen, Envoy need keep nothing for it."""
        return [events.Close()] if self._guard.answered and not self._later else []

    def _collect(self, piece: bytes, *, end: bool) -> None:
        if self._body is None or self._guard.done:
            return
        if self._hold(len(piece)):
            self._body += piece
        if end and self._body is not None:
            body, self._body = bytes(self._body), None
            self._let_go(len(body))
            self._unmark(probe=body in _PROBES)
            self._guard.receive(events.RequestBody(body, True))
            self._see_later()

    def _may_be_probe(self, event: events.RequestHeaders) -> bool:
        return attest.MARK in event.headers and not event.end and not self._guard.begun

    def _unmark(self, *, probe: bool) -> None:
        """A request with a mark goes on: whatever has more to say than a probe is looked at like all others."""
        event, self._marked = self._marked, None
        if event is None:
            return
        headers = event.headers
        if not probe:
            headers = {name: value for name, value in headers.items() if name != attest.MARK}
        self._guard.receive(events.RequestHeaders(headers, event.end, event.attributes, event.metadata))

    def _hold(self, size: int) -> bool:
        """Whether there is room for so many bytes more; if not, nothing more of this exchange is looked at."""
        self._held += size
        if not self._budget.change(size):
            self._stop(Refused(503, "overloaded", "The gateway is overloaded.", "api_error"))
        elif self._held > self._most:
            self._stop(Refused(413, "too_large", f"The request is larger than {self._most} bytes."))
        else:
            return True
        return False

    def _let_go(self, size: int) -> None:
        self._held -= size
        self._budget.change(-size)

    def _stop(self, refused: Refused) -> None:
        self._body = None
        self._later.clear()
        self._let_go(self._held)
        self._unmark(probe=False)
        self._guard.give_up(refused)

    def _see(self, event: events.Event) -> None:
        """In order: what comes before its request is whole, or while that is judged, has to wait."""
        if not (self._later or self._guard.judged or self._is_early(event)):
            self._unmark(probe=False)
            self._guard.receive(event)
        elif self._hold(_size(event)):
            self._later.append(event)

    def _is_early(self, event: events.Event) -> bool:
        """Whether a server answers what it has not got all of yet. The guard would have let it get all or nothing."""
        if not (self._guard.collects or self._marked) or not isinstance(event, events.ResponseHeaders):
            return False
        return bool(event.attributes.get("response.code_details", "via_upstream") == "via_upstream")

    def _see_later(self) -> None:
        while self._later and not self._guard.judged:
            event = self._later.popleft()
            self._let_go(_size(event))
            self._guard.receive(event)

    def tick(self) -> list[Effect]:
        """See ``Exchange``."""
        self._guard.tick()
        if not (self._guard.collects or self._marked):
            self._see_later()
        return self._over()

    @property
    def held(self) -> int:
        """See ``Exchange``."""
        return self._guard.held + self._held

    @property
    def due(self) -> float | None:
        """See ``Exchange``."""
        return self._guard.due

    def overloaded(self) -> list[Effect]:
        """See ``Exchange``."""
        if self._body and not self._guard.done:
            self._stop(Refused(503, "overloaded", "The gateway is overloaded.", "api_error"))
        return []

    def questions(self) -> list[Question]:
        """See ``Exchange``."""
        return self._guard.questions()

    def told(self, question: Question, found: Found) -> None:
        """See ``Exchange``."""
        self._guard.told(question, found)

    def finish(self) -> Record:
        """See ``Exchange``. Envoy waits for no service; the record does, so ``add_late`` has to follow."""
        if self._guard.waits:
            return self._guard.measure()
        return self._finish()

    def _finish(self) -> Record:
        self._finished = True
        self._body = None
        self._later.clear()
        self._let_go(self._held)
        self._unmark(probe=False)
        return self._guard.finish()

    def add_late(self) -> None:
        """See ``Exchange``."""
        if self._finished:
            self._guard.add_late()
            return
        try:
            self.tick()
        finally:
            self._finish()


def _size(event: events.Event) -> int:
    """Bytes that an event which waits takes: also where it is small, and one of many."""
    return _EVENT + (len(event.body) if isinstance(event, events.ResponseBody) else 0)
