"""The processor alone, for an Envoy that is somebody else's: workers, probes, and a configuration that may change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from extproc.config.load import Loaded
from extproc.envoy.layout import Layout
from extproc.errors import StartupError
from extproc.health import HealthServer, Probes
from extproc.pool import Pool
from extproc.reloading import PROCESSOR_RESTART, Reloading
from extproc.runtime import Runtime
from extproc.telemetry import Log

_HEALTH_RESTART: Final = ("address", "port")


class Processor(Reloading):
    """``start``, then ``stop``. Arguments as those of ``Reloading``.

    Args:
        layout: where its workers listen.
    """

    def __init__(self, runtime: Runtime, log: Log, layout: Layout, read: Callable[[], Loaded] | None = None) -> None:
        super().__init__(runtime, log, read)
        self.pool = Pool(layout.processors, runtime.config.processor.native, log, self.totals, runtime.packs)
        self._health: HealthServer | None = None
        self._draining = False
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> int | None:
        """Start everything; returns the port of the probes, if there are any.

        Raises:
            StartupError: something cannot be started.
        """
        await self.pool.start(self.runtime.loaded, self.runtime.generation)
        health = self.runtime.config.health
        if health.port is not None:
            probes = Probes(
                lambda: not self._draining and bool(self.pool.pids), self._metrics, self.drain, self.totals.sightings
            )
            server = HealthServer(health.address, health.port, probes)
            try:
                await server.start()
                self._health = server
            except StartupError as error:
                if "port" in health.model_fields_set:
                    raise
                self._log.notice("no-probes", "there are no probes and no metrics", why=str(error))
        if self._read_again:
            self._watching = asyncio.ensure_future(self._watch_files())
        return self._health.port if self._health else None

    def _metrics(self) -> bytes:
        self.totals.gauges["extproc_workers"] = len(self.pool.pids)
        self.totals.gauges["extproc_generation"] = self.runtime.generation
        return self.totals.text()

    def drain(self) -> None:
        """Not ready any more: whoever asks sends nothing new. What comes all the same is served."""
        if not self._draining:
            self._draining = True
            self._log.notice("draining", "no new work is wanted; what is open may end")

    def _check(self, runtime: Runtime) -> None:
        """Its Envoy is not ours to ask."""

    async def _swap(self, runtime: Runtime) -> None:
        self._tell_what_waits(runtime, "processor", PROCESSOR_RESTART)
        self._tell_what_waits(runtime, "gateway", ("max_body",))  # longest message of the transport
        self._tell_what_waits(runtime, "health", _HEALTH_RESTART)
        await self.pool.prepare(runtime.loaded, runtime.generation)
        await self.pool.reload(runtime.loaded, runtime.generation)
        self._put_in_force(runtime)

    async def stop(self, grace: float) -> None:
        """End; answers under way may take so many seconds longer."""
        self.drain()
        if self._watching:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self.pool.stop(grace)
        if self._health:
            await self._health.stop()


@asynccontextmanager
async def serving(
    runtime: Runtime, log: Log, layout: Layout, read: Callable[[], Loaded] | None = None
) -> AsyncIterator[tuple[Processor, int | None]]:
    """Run a processor until the block is left; then answers under way may end.

    Raises:
        StartupError: something cannot be started.
    """
    processor = Processor(runtime, log, layout, read)
    try:
        yield processor, await processor.start()
    finally:
        await processor.stop(processor.runtime.config.gateway.drain)
