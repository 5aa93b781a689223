"""Asking a service within its limits: cut, batched, side by side but not too many, in time, or not at all.

Owns: the deadline of a judgement, how many calls are under way, and the breaker. A service only makes single calls.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from extproc.moderation.api import About, Finding, Judgement, ModerationError, Text
from extproc.moderation.breaker import Breaker
from extproc.moderation.chunks import Limits, Piece, batches, fold, split

CALLS: Final = 32
"""Calls to a service under way at once, in one worker."""
_BESIDE: Final = 8
"""Calls of one judgement under way at once: a long text leaves room for others."""
_NEARLY: Final = 0.9


class Service(Protocol):
    """Makes single calls."""

    limits: Limits

    async def ask(self, texts: Sequence[Text], about: About) -> Sequence[Finding]:
        """One finding for each of the texts, which are within the limits.

        Raises:
            ModerationError: there is no usable answer.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class Client:
    """A ``Moderator`` over one service. Lives on one event loop.

    Args:
        service: makes the calls; closed with this.
        deadline: seconds for one judgement, waiting included.
        calls: under way at once.
        clock: seconds that only go forward.
    """

    def __init__(
        self, service: Service, deadline: float, calls: int = CALLS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._service = service
        self._deadline = deadline
        self._room = asyncio.Semaphore(calls)
        self._clock = clock
        self._breaker = Breaker(clock=clock)
        self.under_way = 0

    async def judge(self, texts: Sequence[Text], about: About | None = None) -> Judgement:
        """See ``Moderator.judge``."""
        groups = batches(split(texts, self._service.limits), self._service.limits)
        if not groups:
            return Judgement((Finding(),) * len(texts))
        if not self._breaker.admits():
            raise ModerationError("the service has failed again and again, and is left alone for a while")
        self.under_way += 1
        try:
            answers = await self._in_time(groups, about or About())
        finally:
            self.under_way -= 1
        pairs = (
            pair for group, answer in zip(groups, answers, strict=True) for pair in zip(group, answer, strict=True)
        )
        return Judgement(fold(len(texts), pairs))

    async def _in_time(self, groups: list[list[Piece]], about: About) -> list[Sequence[Finding]]:
        begun = self._clock()
        told = self._breaker.abandoned
        try:
            async with asyncio.timeout(self._deadline):
                answers = await self._all(groups, about)
            told = self._breaker.answered
            return answers
        except TimeoutError:
            # Many calls for one caller's long text may be slow without anything being wrong with the service.
            told = self._breaker.failed if len(groups) == 1 else self._breaker.abandoned
            raise ModerationError("no answer within the deadline", outage=len(groups) == 1) from None
        except ModerationError as error:
            told = self._breaker.failed if error.outage else self._breaker.answered
            raise
        except asyncio.CancelledError:
            # A caller with the same deadline may be the first to give up.
            if len(groups) == 1 and self._clock() - begun >= _NEARLY * self._deadline:
                told = self._breaker.failed
            raise
        finally:
            told()

    async def _all(self, groups: list[list[Piece]], about: About) -> list[Sequence[Finding]]:
        if len(groups) == 1:
            return [await self._one(groups[0], about)]
        answers: list[Sequence[Finding]] = [()] * len(groups)
        waiting = iter(enumerate(groups))

        async def work() -> None:
            for number, group in waiting:
                answers[number] = await self._one(group, about)

        failed: list[ModerationError] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(_BESIDE, len(groups))):
                    tasks.create_task(work())
        except* ModerationError as errors:
            failed = [each for each in errors.exceptions if isinstance(each, ModerationError)]
        if failed:
            raise failed[0]
        return answers

    async def _one(self, group: list[Piece], about: About) -> Sequence[Finding]:
        async with self._room:
            found = await self._service.ask([piece.text for piece in group], about)
        if len(found) != len(group):
            raise ModerationError("the service did not answer for every text")
        return found

    async def aclose(self) -> None:
        """See ``Moderator.aclose``."""
        await self._service.aclose()
