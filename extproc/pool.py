"""The workers: started, watched, replaced, told of new configurations, stopped.

A worker listens on a socket of its own and is then *installed*: the socket is renamed to the path Envoy knows. A rename
is atomic, and what listens goes on listening; so a worker is replaced without a moment in which nobody answers. One
spare worker stands ready to be installed where another has died: Envoy finds an answer again within milliseconds, where
starting a process takes about a second. (On TCP there is nothing to rename: there the next worker is started.)
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from extproc.config.load import Loaded
from extproc.control import Channel
from extproc.errors import StartupError
from extproc.metrics import Totals
from extproc.telemetry import Log

_READY_WITHIN: Final = 30.0
_BACK_OFF: Final = (0.05, 5.0)
_HEALTHY_AFTER: Final = 10.0
_SILENT_FOR: Final = 3.0
"""A worker that gives no sign of life for so long is killed, whatever holds it (its own watchdog may be stopped, too)."""


def order(op: str, loaded: Loaded, generation: int, packs: Path | None, **more: Any) -> dict[str, Any]:
    """The message that gives a worker a configuration."""
    return {
        "op": op,
        "config": loaded.config.model_dump(mode="json", exclude_unset=True),
        "environment": dict(loaded.environment),
        "folder": str(loaded.folder.resolve()),
        "generation": generation,
        "packs": str(packs) if packs else "",
        **more,
    }


class _Process:
    """One worker process, where it listens, and the supervisor's end of its channel."""

    def __init__(self, name: str, address: str, process: asyncio.subprocess.Process, channel: Channel) -> None:
        self.name = name
        self.address = address
        self.process = process
        self.channel = channel
        self.began = self.seen = time.monotonic()
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.generation = 0
        self.prepared = 0


class Pool:
    """The workers of one gateway.

    Args:
        addresses: where Envoy looks for them, one each.
        log: where restarts are told; its style is also the workers'.
        totals: takes their counters.
        packs: the operator's folder of packs.
    """

    def __init__(self, addresses: tuple[str, ...], log: Log, totals: Totals, packs: Path | None = None) -> None:
        self._addresses = addresses
        self._log = log
        self._totals = totals
        self._packs = packs
        self._loaded: Loaded | None = None
        self._generation = 0
        self._names = itertools.count()
        self._installed: dict[int, _Process] = {}
        self._spare: _Process | None = None
        self._leaving: set[_Process] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._changed = asyncio.Condition()
        self._renames = addresses[0].startswith("/")

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers Envoy knows."""
        return [each.process.pid for each in self._installed.values()]

    def _living(self) -> list[_Process]:
        spare = [self._spare] if self._spare and self._spare.ready.done() else []
        return [*self._installed.values(), *spare]

    # start and stop

    async def start(self, loaded: Loaded, generation: int) -> None:
        """Start all; returns when each is ready.

        Raises:
            StartupError: one cannot start.
        """
        self._loaded, self._generation = loaded, generation
        numbers = range(len(self._addresses))
        started = await asyncio.gather(*(self._spawn(self._addresses[number]) for number in numbers))
        for number, each in zip(numbers, started, strict=True):
            await asyncio.wait_for(each.ready, _READY_WITHIN)
            self._install(number, each)
        self._background(self._watch())
        if self._renames:
            self._background(self._keep_spare())

    async def stop(self, grace: float) -> None:
        """End all, giving open exchanges ``grace`` seconds."""
        self._stopping = True
        living = [*self._installed.values(), *([self._spare] if self._spare else []), *self._leaving]
        for each in living:
            each.channel.send(op="stop", grace=grace)
        waits = [asyncio.ensure_future(each.process.wait()) for each in living]
        if waits:
            _, late = await asyncio.wait(waits, timeout=grace + 2.0)
            for each in living if late else []:
                if each.process.returncode is None:
                    each.process.kill()
            await asyncio.gather(*waits)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._remove_sockets()

    def _remove_sockets(self) -> None:
        for address in self._addresses if self._renames else ():
            Path(address).unlink(missing_ok=True)

    def _background(self, main: Any) -> None:
        task = asyncio.ensure_future(main)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # configurations

    def speak(self) -> None:
        """Let workers that were started quietly log."""
        for each in self._living():
            each.channel.send(op="speak")

    async def prepare(self, loaded: Loaded, generation: int) -> None:
        """Let all know the backends of a configuration that is about to come."""
        await self._tell(order("prepare", loaded, generation, self._packs), "prepared", generation)

    async def reload(self, loaded: Loaded, generation: int) -> None:
        """Give all a new configuration; returns when each has it. One that cannot take it is replaced."""
        self._loaded, self._generation = loaded, generation
        await self._tell(order("reload", loaded, generation, self._packs), "generation", generation)

    async def _tell(self, message: dict[str, Any], state: str, generation: int) -> None:
        for each in self._living():
            each.channel.send(**message)
        have_it = functools.partial(self._all_have, state, generation)
        async with self._changed:
            await asyncio.wait_for(self._changed.wait_for(have_it), _READY_WITHIN)

    def _all_have(self, state: str, generation: int) -> bool:
        return all(getattr(each, state) >= generation for each in self._installed.values())

    async def replace_all(self, grace: float) -> None:
        """Replace every worker by a new one while all serve; the old ones end when their exchanges have."""
        for number in sorted(self._installed):
            fresh = await self._spawn(self._addresses[number])
            await asyncio.wait_for(asyncio.shield(fresh.ready), _READY_WITHIN)
            old = self._installed[number]
            self._leaving.add(old)
            self._install(number, fresh)
            old.channel.send(op="stop", grace=grace)

    # one worker

    def _install(self, number: int, worker: _Process) -> None:
        if self._renames:
            Path(worker.address).rename(self._addresses[number])
        self._installed[number] = worker
        if self._loaded and worker.generation < self._generation:  # the configuration changed while it started
            worker.channel.send(**order("reload", self._loaded, self._generation, self._packs))
        self._background(self._keep(number, worker))

    async def _spawn(self, address: str) -> _Process:
        if self._loaded is None:
            raise StartupError("the workers have no configuration")
        name = f"worker-{next(self._names)}"
        own = str(Path(address).with_name(f"{name}.sock")) if self._renames else address
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "extproc.worker",
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for the supervisor, which lets answers end first
            )
        finally:
            theirs.close()
        worker = _Process(name, own, process, await Channel.over(ours))
        more = {"address": own, "log": self._log.style, "quiet": self._log.quiet}
        worker.channel.send(**order("start", self._loaded, self._generation, self._packs, **more))
        self._background(self._listen(worker))
        return worker

    async def _listen(self, worker: _Process) -> None:
        while (message := await worker.channel.receive()) is not None:
            worker.seen = time.monotonic()
            if "alive" in message:
                self._totals.report(worker.name, message["alive"], message["gauges"])
                continue
            if "failed" in message and not worker.ready.done():
                worker.ready.set_exception(StartupError(message["failed"]))
            elif "refused" in message:
                self._log.notice("worker-refused", "a worker could not take the configuration", why=message["why"])
                worker.process.kill()
            async with self._changed:
                worker.prepared = max(worker.prepared, message.get("prepared", 0))
                worker.generation = max(worker.generation, message.get("ready", 0), message.get("reloaded", 0))
                worker.prepared = max(worker.prepared, worker.generation)
                self._changed.notify_all()
            if "ready" in message and not worker.ready.done():
                worker.ready.set_result(None)
        self._totals.retire(worker.name)
        worker.channel.close()
        if not worker.ready.done():
            worker.ready.set_exception(StartupError("a worker ended while starting; its own words are above"))
            worker.ready.exception()

    async def _keep(self, number: int, worker: _Process) -> None:
        """Wait for the end of one worker and put another in its place, for as long as we run."""
        status = await worker.process.wait()
        if worker in self._leaving:
            self._leaving.discard(worker)
            return
        async with self._changed:
            if self._installed.get(number) is worker:
                del self._installed[number]
            self._changed.notify_all()
        if self._stopping:
            return
        self._totals.own.add("extproc_restarts", "worker")
        self._log.notice("worker-ended", "a worker ended; another takes its place", status=status)
        self._install(number, await self._successor(number, time.monotonic() - worker.began))

    async def _successor(self, number: int, lived: float) -> _Process:
        spare, self._spare = self._spare, None
        if spare and spare.ready.done() and spare.process.returncode is None:
            return spare
        wait = 0.0 if lived > _HEALTHY_AFTER else _BACK_OFF[0]
        while True:
            await asyncio.sleep(wait)
            worker = spare if spare and spare.process.returncode is None else await self._spawn(self._addresses[number])
            spare = None
            try:
                await asyncio.wait_for(asyncio.shield(worker.ready), _READY_WITHIN)
            except (StartupError, TimeoutError) as error:
                self._log.notice("worker-failed", "a worker cannot start", why=str(error))
                wait = min(max(wait, _BACK_OFF[0]) * 2, _BACK_OFF[1])
            else:
                return worker

    async def _keep_spare(self) -> None:
        """Have one worker ready that nobody needs yet."""
        wait = _BACK_OFF[0]
        while True:
            if self._spare is None or self._spare.process.returncode is not None:
                self._spare = await self._spawn(self._addresses[0])
                with suppress(StartupError, TimeoutError):
                    await asyncio.wait_for(asyncio.shield(self._spare.ready), _READY_WITHIN)
                    wait = _BACK_OFF[0]
                if self._spare and self._spare.process.returncode is not None:
                    wait = min(wait * 2, _BACK_OFF[1])
            await asyncio.sleep(wait)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            now = time.monotonic()
            for each in self._living():
                if now - each.seen > _SILENT_FOR and each.process.returncode is None:
                    self._log.notice(
                        "worker-silent", "a worker gives no sign of life and is killed", pid=each.process.pid
                    )
                    each.process.kill()
