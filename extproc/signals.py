"""The signals that a running gateway obeys."""

from __future__ import annotations

import asyncio
import signal
from typing import Final

from extproc.supervisor import Supervisor
from extproc.telemetry import Log

ORDERS: Final = ("SIGHUP", "SIGUSR1")
"""Signals that do not end anything."""


class Signals:
    """Signals in the order they came."""

    def __init__(self) -> None:
        self._names: asyncio.Queue[str] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            loop.add_signal_handler(each, self._names.put_nowait, each.name)

    async def next(self) -> str:
        """The next signal's name."""
        return await self._names.get()

    async def next_stop(self) -> str:
        """The next one that means to stop."""
        while (name := await self.next()) in ORDERS:
            pass
        return name


async def until_stopped(signals: Signals, supervisor: Supervisor, log: Log) -> None:
    """Serve; SIGHUP reads the configuration again, SIGUSR1 replaces the workers, a signal to stop drains, a second ends."""
    while (name := await signals.next()) in ORDERS:
        await (supervisor.reload() if name == "SIGHUP" else supervisor.restart_workers())
    log.notice("stopping", "stopping; once more to stop at once", signal=name)
    supervisor.drain()
    drained = asyncio.ensure_future(supervisor.drained())
    again = asyncio.ensure_future(signals.next_stop())
    await asyncio.wait({drained, again}, return_when=asyncio.FIRST_COMPLETED)
    for each in (drained, again):
        each.cancel()
