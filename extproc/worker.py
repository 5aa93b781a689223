"""A worker process: one transport on one address, told what to do by its supervisor. ``python -m extproc.worker FD``.

Its watchdog stands outside the event loop: a timer in C that the loop has to set back. A loop that stalls, whether in our
code or in a library, lets it expire; it writes where every thread stood and ends the process, and Envoy fails closed.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from extproc.config.load import Loaded
from extproc.config.model import Config
from extproc.config.source import Source
from extproc.control import Channel
from extproc.envoy.process import die_with_parent
from extproc.errors import ConfigError, StartupError
from extproc.gateway import transport_for
from extproc.judges import Judges
from extproc.loop import run
from extproc.metrics import Counters
from extproc.providers.tokens import Tokens
from extproc.runtime import Runtime, compile_runtime
from extproc.service import Service
from extproc.telemetry import Log
from extproc.transport.base import Transport

BEAT: Final = 0.25
"""Seconds between signs of life."""
_TOKENS_WITHIN: Final = 3.0
"""Seconds that a configuration waits for credentials that must be fetched; later ones are used when they come."""
_LET_GO_WITHIN: Final = 5.0
"""Seconds in which the worker before this one lets go of its address; one that stands still is killed earlier."""


class Worker:
    """The worker's side of the channel."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._counters = Counters()
        self._runtime: Runtime | None = None
        self._next: Runtime | None = None
        self._log: Log | None = None
        self._service: Service | None = None
        self._transport: Transport | None = None
        self._listeners: list[int] = []
        self._stall = 2.0
        self._judges = Judges(self._stuck)
        self._tokens = Tokens(self._told)

    async def main(self) -> int:
        """Serve until told to stop; returns the exit status."""
        first = await self._channel.receive()
        if first is None:
            return 1
        try:
            runtime = self._runtime = _compiled(first)
            log = self._log = Log(first["log"])
            log.quiet = first["quiet"]
            service = self._service = Service(self._current, log, self._counters, self._judges)
            _settle()
            await self._keep_tokens(runtime)
            self._listeners = first["listeners"]
            if first["number"] is not None:
                await self._listen(first["number"], first["address"])
        except (ConfigError, StartupError) as error:
            self._channel.send(failed=str(error))
            return 1
        self._stall = runtime.config.processor.stall_timeout
        self._channel.send(ready=runtime.generation)
        async with asyncio.TaskGroup() as tasks:
            beat = tasks.create_task(self._beat(service))
            tick = tasks.create_task(service.tick_forever())
            grace = await self._obey()
            if self._transport:
                await self._transport.stop(grace)
            beat.cancel()
            tick.cancel()
        await service.aclose()
        await self._judges.aclose()
        await self._tokens.aclose()
        faulthandler.cancel_dump_traceback_later()
        self._report(service)
        self._channel.close()
        return 0

    async def _listen(self, number: int, address: str, patience: float = 0.0) -> None:
        """Begin to serve what Envoy knows as the worker of this number."""
        listener = socket.socket(fileno=self._listeners[number]) if self._listeners else None
        transport = transport_for(self._current(), self._serving(), address, listener, patience)
        await transport.start()
        self._transport = transport
        self._channel.send(listening=number)

    async def _keep_tokens(self, runtime: Runtime) -> None:
        """Fetch what credentials of a configuration must be fetched, and keep it fresh."""
        await self._tokens.keep(runtime.held(), runtime.config.gateway.upstream_ca or "", _TOKENS_WITHIN)

    def _told(self, providers: str, why: str) -> None:
        """A credential has been fetched, or has not."""
        self._counters.add("extproc_credentials", "failed" if why else "fetched")
        if why and self._log:
            self._log.notice("credential", "a credential cannot be fetched", providers=providers, why=why)

    def _stuck(self, policy: str, count: int) -> None:
        """A policy in Python does not return."""
        self._serving().fault("stuck", "a policy in Python does not return", policy=policy, threads=str(count))

    def _serving(self) -> Service:
        if self._service is None:
            raise RuntimeError("not started yet")
        return self._service

    def _current(self) -> Runtime:
        if self._runtime is None:
            raise RuntimeError("no configuration yet")
        return self._runtime

    async def _obey(self) -> float:
        """Take orders until the last one; returns the grace for open exchanges."""
        while (message := await self._channel.receive()) is not None:
            if message.get("op") == "stop":  # whoever sends nothing more cannot wait either
                return float(message["grace"])
            op = message.get("op")
            if op == "listen" and not self._transport:
                try:
                    await self._listen(message["number"], message["address"], _LET_GO_WITHIN)
                except StartupError as error:
                    self._channel.send(failed=str(error))
                    return 0.0
            elif op == "speak" and self._log:
                self._log.quiet = False
            elif op in ("prepare", "reload"):
                await self._take(message)
        return 0.0

    async def _take(self, message: dict[str, Any]) -> None:
        """A new configuration in two steps: know its backends, for attempts that others decide; then decide by it."""
        before = self._current()
        generation = message["generation"]
        try:
            if self._next is None or self._next.generation != generation:
                self._next = await asyncio.to_thread(_compiled, message, before)  # the loop serves meanwhile
        except ConfigError as error:
            self._channel.send(refused=generation, why=str(error))
            return
        if message["op"] == "prepare":
            self._runtime = replace(before, former={**before.former, **self._next.backends})
            await self._keep_tokens(self._runtime)  # others may decide by the next one before this worker does
            self._channel.send(prepared=generation)
        else:
            self._runtime, self._next = self._next, None
            await self._keep_tokens(self._runtime)
            await self._judges.retain([each.moderation for each in self._runtime.attached.policies.values()])
            _settle()
            self._channel.send(reloaded=generation)

    async def _beat(self, service: Service) -> None:
        while True:
            faulthandler.dump_traceback_later(self._stall, exit=True)
            self._report(service)
            await asyncio.sleep(BEAT)

    def _report(self, service: Service) -> None:
        gauges = {
            "extproc_open_exchanges": service.open_count,
            "extproc_held_bytes": service.held,
            "extproc_stuck_threads": self._judges.stuck,
        }
        self._channel.send(alive=self._counters.snapshot(), gauges=gauges, attested=self._counters.attested())


def _settle() -> None:
    """What is there now stays: collections need not look at it again, nor be as frequent as for a process that grows.

    Otherwise they are most of what parsing a large body costs.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _compiled(message: dict[str, Any], before: Runtime | None = None) -> Runtime:
    config = Config.model_validate(message["config"])
    source = Source(files=[Path(each) for each in message["files"]])
    loaded = Loaded(config, source, message["environment"], Path(message["folder"]))
    packs = Path(message["packs"]) if message["packs"] else None
    return compile_runtime(loaded, message["generation"], packs, before)


async def _main(descriptor: int) -> int:
    end = socket.socket(fileno=descriptor)
    end.setblocking(False)
    return await Worker(await Channel.over(end)).main()


if __name__ == "__main__":
    die_with_parent()
    sys.exit(run(_main(int(sys.argv[1]))))
