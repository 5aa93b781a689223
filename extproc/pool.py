"""The workers: started, watched, replaced, told of new configurations, stopped.

The sockets Envoy connects to belong to the supervisor; a worker is only told to accept on one. So a socket never goes
away: while a worker has died and the next has not begun, connections wait instead of failing. One spare worker stands
ready to take over within milliseconds, where starting a process takes about a second. (Workers of the grpcio transport
bind addresses themselves, as soon as whoever held them lets go; of those there is no spare.)
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import socket
import time
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from extproc.config.load import Loaded
from extproc.errors import StartupError
from extproc.member import READY_WITHIN, Member, order
from extproc.metrics import Totals
from extproc.telemetry import Log
from extproc.transport import sockets

_BACK_OFF: Final = (0.05, 5.0)
_HEALTHY_AFTER: Final = 10.0
_SILENT_FOR: Final = 3.0
"""A worker that gives no sign of life for so long is killed, whatever holds it (its own watchdog may be stopped, too)."""
_SILENT_AT_FIRST: Final = 10.0
"""The same while it starts, when it is busy compiling."""


class Pool:
    """The workers of one gateway.

    Args:
        addresses: where Envoy looks for them, one each.
        native: whether they accept on sockets of ours instead of binding addresses themselves.
        log: where restarts are told; its style is also the workers'.
        totals: takes their counters.
        packs: the operator's folder of packs.
    """

    def __init__(
        self, addresses: tuple[str, ...], native: bool, log: Log, totals: Totals, packs: Path | None = None
    ) -> None:
        self._addresses = addresses
        self._native = native
        self._log = log
        self._totals = totals
        self._packs = packs
        self._loaded: Loaded | None = None
        self._generation = 0
        self._names = itertools.count()
        self._sockets: list[socket.socket] = []
        self._installed: dict[int, Member] = {}
        self._spare: Member | None = None
        self._all: set[Member] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ears: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._changed = asyncio.Condition()

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers Envoy knows."""
        return [each.process.pid for each in self._installed.values()]

    def _serving(self) -> list[Member]:
        spare = [self._spare] if self._spare and self._spare.ready else []
        return [*self._installed.values(), *spare]

    # start and stop

    async def start(self, loaded: Loaded, generation: int) -> None:
        """Start all; returns when each is ready.

        Raises:
            StartupError: one cannot start.
        """
        self._loaded, self._generation = loaded, generation
        if self._native:
            self._sockets = [sockets.bound(Path(each)) for each in self._addresses]
        numbers = range(len(self._addresses))
        started = await asyncio.gather(*(self._spawn(number) for number in numbers))
        for number, each in zip(numbers, started, strict=True):
            await each.started()
            self._install(number, each)
        self._background(self._watch())
        if self._native:
            self._background(self._keep_spare())

    async def stop(self, grace: float) -> None:
        """End all, giving open exchanges ``grace`` seconds."""
        self._stopping = True
        await _cancel(self._tasks)  # first, or a worker would be started in place of one that ends
        living = [each for each in self._all if each.living]
        for each in living:
            each.channel.send(op="stop", grace=grace)
        waits = [asyncio.ensure_future(each.process.wait()) for each in living]
        if waits:
            _, late = await asyncio.wait(waits, timeout=grace + 2.0)
            for each in living if late else []:
                each.kill()
            await asyncio.gather(*waits)
        await _cancel(self._ears)
        self._remove_sockets()

    def _remove_sockets(self) -> None:
        for listener in self._sockets:
            listener.close()
        for address in self._addresses:
            if address.startswith("/"):
                Path(address).unlink(missing_ok=True)

    def _background(self, main: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]] | None = None) -> None:
        among = self._tasks if tasks is None else tasks
        task = asyncio.ensure_future(main)
        among.add(task)
        task.add_done_callback(among.discard)

    # configurations

    def speak(self) -> None:
        """Let workers that were started quietly log."""
        for each in self._serving():
            each.channel.send(op="speak")

    async def prepare(self, loaded: Loaded, generation: int) -> None:
        """Let all know the backends of a configuration that is about to come."""
        await self._tell(order("prepare", loaded, generation, self._packs), "prepared", generation)

    async def reload(self, loaded: Loaded, generation: int) -> None:
        """Give all a new configuration; returns when each has it. One that cannot take it is replaced."""
        self._loaded, self._generation = loaded, generation
        await self._tell(order("reload", loaded, generation, self._packs), "generation", generation)

    async def _tell(self, message: dict[str, Any], state: str, generation: int) -> None:
        for each in self._serving():
            each.channel.send(**message)
        have_it = functools.partial(self._all_have, state, generation)
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(have_it), READY_WITHIN)
            except TimeoutError:  # whoever has not taken it by now never will, and must not go on by the old one
                for each in self._installed.values():
                    if getattr(each, state) < generation:
                        each.kill()

    def _all_have(self, state: str, generation: int) -> bool:
        return all(getattr(each, state) >= generation for each in self._installed.values())

    # replacing

    async def replace_all(self, grace: float) -> None:
        """Replace every worker by a new one, one after the other; the old ones end when their exchanges have.

        Raises:
            StartupError: a new one cannot start; those not replaced yet go on.
        """
        for number in sorted(self._installed):
            if old := self._installed.get(number):  # else it has died, and another new one is on its way
                await self._replace(number, old, grace)
        spare, self._spare = self._spare, None
        if spare:
            spare.channel.send(op="stop", grace=0)

    async def _replace(self, number: int, old: Member, grace: float) -> None:
        fresh = await self._spawn(None)
        await fresh.started()
        if (
            self._installed.get(number) is not old
        ):  # it has died meanwhile; whoever waited for that puts one in its place
            fresh.channel.send(op="stop", grace=0)
        elif self._native:
            self._install(number, fresh)
            old.channel.send(op="stop", grace=grace)
        else:  # it holds the address, and lets go of it before its answers end
            old.channel.send(op="stop", grace=grace)
            self._install(number, fresh)
            await fresh.listening()

    def _install(self, number: int, member: Member) -> None:
        """Let Envoy find this worker under this number."""
        if self._loaded and member.generation < self._generation:  # the configuration changed while it started
            member.channel.send(**order("reload", self._loaded, self._generation, self._packs))
        member.channel.send(op="listen", number=number, address=self._addresses[number])
        self._installed[number] = member
        self._background(self._keep(number, member))

    async def _keep(self, number: int, member: Member) -> None:
        """Wait for the end of one worker and put another in its place, for as long as we run."""
        status = await member.process.wait()
        if self._installed.get(number) is not member:
            return  # it was replaced before
        async with self._changed:
            del self._installed[number]
            self._changed.notify_all()
        self._totals.own.add("extproc_restarts", "worker")
        self._log.notice("worker-ended", "a worker ended; another takes its place", status=status)
        self._install(number, await self._successor(number, time.monotonic() - member.began))

    async def _successor(self, number: int, lived: float) -> Member:
        spare, self._spare = self._spare, None
        if spare and spare.ready and spare.living:
            return spare
        wait = 0.0 if lived > _HEALTHY_AFTER else _BACK_OFF[0]
        while True:
            await asyncio.sleep(wait)
            member, spare = spare if spare and spare.living else await self._spawn(number), None
            try:
                await member.started()
            except StartupError as error:
                self._log.notice("worker-failed", "a worker cannot start", why=str(error))
                wait = min(max(wait, _BACK_OFF[0]) * 2, _BACK_OFF[1])
            else:
                return member

    async def _keep_spare(self) -> None:
        """Have one worker ready that nobody needs yet."""
        wait = _BACK_OFF[0]
        while True:
            if self._spare is None or not self._spare.living:
                spare = self._spare = await self._spawn(None)
                with suppress(StartupError):
                    await spare.started()
                wait = _BACK_OFF[0] if spare.ready else min(wait * 2, _BACK_OFF[1])
            await asyncio.sleep(wait)

    # one worker

    async def _spawn(self, number: int | None) -> Member:
        """A worker process with its first order. Without a number, and on sockets of ours, it waits to be told where."""
        if self._loaded is None:
            raise StartupError("the workers have no configuration")
        member = await Member.spawn(f"worker-{next(self._names)}", self._sockets)
        self._all.add(member)
        own = None if self._native else number
        more = {
            "number": own,
            "address": "" if own is None else self._addresses[own],
            "listeners": [each.fileno() for each in self._sockets],
            "log": self._log.style,
            "quiet": self._log.quiet,
        }
        member.channel.send(**order("start", self._loaded, self._generation, self._packs, **more))
        self._background(self._listen(member), self._ears)
        return member

    async def _listen(self, member: Member) -> None:
        try:
            while (message := await member.channel.receive()) is not None:
                await self._heard(member, message)
        finally:
            self._totals.retire(member.name)
            member.channel.close()
            member.failed("a worker ended while starting; its own words are above")
            if not self._stopping:
                await member.process.wait()
                self._all.discard(member)

    async def _heard(self, member: Member, message: dict[str, Any]) -> None:
        member.seen = time.monotonic()
        if "alive" in message:
            self._totals.report(member.name, message["alive"], message["gauges"])
            self._totals.sightings.note(message["attested"])
            return
        if "refused" in message:
            self._log.notice("worker-refused", "a worker could not take the configuration", why=message["why"])
            member.kill()
        async with self._changed:
            member.heard(message)
            self._changed.notify_all()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            now = time.monotonic()
            for each in self._all:
                patience = _SILENT_FOR if each.ready else _SILENT_AT_FIRST
                if now - each.seen > patience and each.living:
                    self._log.notice(
                        "worker-silent", "a worker gives no sign of life and is killed", pid=each.process.pid
                    )
                    each.kill()


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
