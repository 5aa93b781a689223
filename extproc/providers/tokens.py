"""Tokens that are fetched, and fetched again before they expire: one loop for each source, in every worker.

Attempts never wait for a token: they find the latest one in their credential, or are told that there is none (``NotReady``).
A source that fails is asked again, sooner at first; meanwhile its last token serves until it expires.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from extproc.providers.credentials import Held, Source, Token
from extproc.providers.fetch import FetchError

_MARGIN: Final = 300.0
"""Seconds before its end at which a token is replaced; half of what is left of a short one."""
_BACK_OFF: Final = (1.0, 60.0)

Told = Callable[[str, str], None]
"""Called after each attempt: names of the providers, and why there is no token; empty where there is one."""


@dataclass(slots=True)
class _Kept:
    holders: list[Held] = field(default_factory=list)
    token: Token | None = None
    tried: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Tokens:
    """Keeps the tokens of one worker fresh. On one event loop.

    Args:
        told: hears how each attempt went.
        sleep: waits a number of seconds.
        clock: Unix time.
    """

    def __init__(
        self,
        told: Told = lambda providers, why: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._told = told
        self._sleep = sleep
        self._clock = clock
        self._kept: dict[Source, _Kept] = {}

    async def keep(self, holders: Iterable[Held], ca: str, within: float) -> None:
        """From now on these are kept fresh, and no others. Returns when each has been tried, or after ``within`` seconds.

        Args:
            holders: of all credentials in use. Equal sources are asked once.
            ca: path of the bundle to check services with; empty: the system's.
            within: seconds.
        """
        wanted: dict[Source, list[Held]] = {}
        for each in holders:
            wanted.setdefault(each.source, []).append(each)
        for source in [each for each in self._kept if each not in wanted]:
            await _ended(self._kept.pop(source))
        for source, held in wanted.items():
            kept = self._kept.setdefault(source, _Kept())
            kept.holders = held
            if kept.token:
                _give(kept, kept.token)
            if kept.task is None:
                kept.task = asyncio.ensure_future(self._refresh(source, kept, ca))
        await self._all_tried(within)

    async def _all_tried(self, within: float) -> None:
        try:
            async with asyncio.timeout(within):
                for kept in list(self._kept.values()):
                    await kept.tried.wait()
        except TimeoutError:
            pass  # calls that need what is missing are refused until it comes

    async def _refresh(self, source: Source, kept: _Kept, ca: str) -> None:
        wait = _BACK_OFF[0]
        while True:
            why = await self._fetched(source, kept, ca)
            self._told(", ".join(sorted({each.provider for each in kept.holders})), why)
            kept.tried.set()
            if why:
                await self._sleep(wait)
                wait = min(wait * 2, _BACK_OFF[1])
            elif kept.token:
                wait = _BACK_OFF[0]
                left = kept.token.expires - self._clock()
                await self._sleep(max(left - min(_MARGIN, left / 2), _BACK_OFF[0]))

    async def _fetched(self, source: Source, kept: _Kept, ca: str) -> str:
        try:
            kept.token = await source.fetch(ca)
        except FetchError as error:
            return str(error)
        except Exception as error:  # a loop that ends would be found out an hour later
            return f"internal error ({type(error).__name__})"
        _give(kept, kept.token)
        return ""

    async def aclose(self) -> None:
        """Stop."""
        for kept in self._kept.values():
            await _ended(kept)
        self._kept.clear()


def _give(kept: _Kept, token: Token) -> None:
    for each in kept.holders:
        each.hold(token)


async def _ended(kept: _Kept) -> None:
    if kept.task:
        kept.task.cancel()
        await asyncio.wait({kept.task})
