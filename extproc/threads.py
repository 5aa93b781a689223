"""Threads for code that may never come back.

Owns: how many there are, which calls overstay, and what that means. Python cannot end a thread. One whose call has run
longer than its deadline is stuck: another takes its place, up to a cap, and whoever has too many stuck ones is not run any
more until some come back. Threads are daemons: those that never do keep no process from ending.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

SIZE: Final = 4
"""Threads that work."""
STUCK_EACH: Final = 4
"""Stuck threads of one owner, at which it is not run any more. Calls under way then may still add ``SIZE - 1``."""
STUCK_MOST: Final = 32
"""Stuck threads that are replaced."""


class StuckError(Exception):
    """There is no thread for this call: too many have not come back."""


@dataclass(slots=True, eq=False)
class _Call:
    owner: Hashable
    name: str
    deadline: float
    work: Callable[[], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    began: float | None = None
    left: bool = False
    over: bool = False
    stuck: bool = False


class Threads:
    """On one event loop.

    Args:
        told: is called for each call that overstays: its owner's name, and how many of the owner's are stuck now.
        clock: seconds that only go forward.
    """

    def __init__(
        self, told: Callable[[str, int], None] = lambda name, count: None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._told = told
        self._clock = clock
        self._queue: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # for all below
        self._working = 0
        self._stuck: Counter[Hashable] = Counter()
        self._closed = False

    @property
    def stuck(self) -> int:
        """Threads that have not come back."""
        with self._lock:
            return self._stuck.total()

    async def run(self, owner: Hashable, name: str, deadline: float, work: Callable[[], Any]) -> Any:
        """What ``work`` returns. To give up waiting, cancel this.

        Args:
            owner: whose code it is; ``name``: what that is called.
            deadline: seconds of running after which the call has overstayed, if nobody waits for it any more.

        Raises:
            StuckError: there is no thread for it.
            Exception: whatever ``work`` raises.
        """
        with self._lock:
            self._fill()
            if self._closed or not self._working or self._stuck[owner] >= STUCK_EACH:
                raise StuckError(name)
        call = _Call(owner, name, deadline, work, asyncio.get_running_loop().create_future())
        self._queue.put(call)
        try:
            return await call.future
        except asyncio.CancelledError:
            self._leave(call)
            raise

    def _leave(self, call: _Call) -> None:
        """Nobody waits for it any more. It may still be in time: a client that hangs up says nothing about the code."""
        with self._lock:
            call.left = True
            if call.began is None or call.over:
                return
            remaining = call.began + call.deadline - self._clock()
        if remaining > 0:
            call.loop.call_later(remaining, self._overstays, call)
        else:
            self._overstays(call)

    def _overstays(self, call: _Call) -> None:
        with self._lock:
            if call.over:
                return
            call.stuck = True
            self._stuck[call.owner] += 1
            count = self._stuck[call.owner]
            self._working -= 1
            self._fill()
        self._told(call.name, count)

    def _fill(self) -> None:
        """Start what is missing. With the lock."""
        while self._working < SIZE and self._working + self._stuck.total() < SIZE + STUCK_MOST and not self._closed:
            self._working += 1
            threading.Thread(target=self._serve, name="policy", daemon=True).start()

    def _serve(self) -> None:
        while (call := self._queue.get()) is not None:
            with self._lock:
                if call.left:
                    continue
                call.began = self._clock()
            answer = _outcome(call.work)
            with self._lock:
                call.over = True
                if call.stuck:
                    self._stuck -= Counter({call.owner: 1})
                    if self._working >= SIZE or self._closed:
                        return  # another works in its place
                    self._working += 1
            with suppress(RuntimeError):  # the loop is closed
                call.loop.call_soon_threadsafe(_settle, call.future, answer)

    def close(self) -> None:
        """End those that come back."""
        with self._lock:
            self._closed = True
            for _ in range(self._working):
                self._queue.put(None)


def _outcome(work: Callable[[], Any]) -> tuple[Any, Exception | None]:
    try:
        return work(), None
    except StopIteration as error:
        return None, RuntimeError(type(error).__name__)  # a future cannot carry it
    except Exception as error:  # whatever a stranger's code raises
        return None, error
    except BaseException as error:  # SystemExit ends no process from here
        return None, RuntimeError(type(error).__name__)


def _settle(future: asyncio.Future[Any], answer: tuple[Any, Exception | None]) -> None:
    if future.done():
        return
    value, error = answer
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
