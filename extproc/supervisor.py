"""The supervisor: Envoy and the workers as one gateway. Starts them in order, keeps them up, reloads, drains, cleans up."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from extproc.config.load import Loaded
from extproc.envoy import binary, bootstrap, clusters, process, routes, static, versions
from extproc.envoy.layout import Layout
from extproc.envoy.types import Json
from extproc.errors import StartupError
from extproc.gateway import Options, layout_for, only_elsewhere
from extproc.health import HealthServer, Probes
from extproc.live import require_ports
from extproc.pool import Pool
from extproc.reloading import PROCESSOR_RESTART, Reloading
from extproc.runtime import Runtime
from extproc.telemetry import Log

_PROBE_WITHIN: Final = 10.0
_FORGET_AFTER: Final = 5.0
"""How long Envoy keeps the routes of the configuration before: requests it decided about are on their way by then."""
_RESTART_ONLY: Final = ("address", "port", "tls", "plain_port", "admin_port", "max_body", "trusted_hops", "drain")


@dataclass(slots=True)
class Ports:
    """Where a running gateway listens, and the authority clients trust."""

    listeners: dict[str, int]
    health: int | None
    ca: Path | None


class Supervisor(Reloading):
    """One gateway. ``start``, then ``wait`` until it should end, then ``stop``.

    Args:
        runtime: the first configuration.
        log: where the supervisor speaks; workers use its style.
        options: which Envoy, where certificates are kept.
        read: reads the configuration again; None where it never changes.

    Raises:
        StartupError: the configuration has no providers.
    """

    def __init__(self, runtime: Runtime, log: Log, options: Options, read: Callable[[], Loaded] | None = None) -> None:
        super().__init__(routing(runtime), log, read)
        only_elsewhere(runtime)
        self._options = options
        self._run = Path(tempfile.mkdtemp(prefix="extproc-"))
        self._binary = binary.find(options.envoy)
        version = versions.of(self._binary)
        self._cautions = versions.cautions(version, versions.uses(runtime))
        self._layout, self._ca = layout_for(runtime, self._run, options.state, version)
        self.pool = Pool(self._layout.processors, runtime.config.processor.native, log, self.totals, runtime.packs)
        self._envoy = self._new_envoy()
        self._health: HealthServer | None = None
        self._draining = asyncio.Event()
        self._ended = asyncio.Event()
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self._pinned = runtime.config.gateway
        self.ready = False

    def _new_envoy(self) -> process.Envoy:
        return process.Envoy(self._binary, self._layout, self._options.access, self._options.threads)

    @property
    def envoy(self) -> process.Envoy:
        """The running Envoy."""
        return self._envoy

    @property
    def layout(self) -> Layout:
        """Where its files are."""
        return self._layout

    # start

    async def start(self) -> Ports:
        """Start everything; returns when a request went through.

        Raises:
            StartupError: something cannot be started.
        """
        require_ports(self.runtime)
        for each in self._cautions:
            self._log.notice("envoy-caution", each)
        bootstrap.write(self.runtime, self._layout)
        await self.pool.start(self.runtime.loaded, self.runtime.generation)
        try:
            await self._envoy.start()
            self._pin_ports()
            await self._probe()
        except StartupError:
            await self._envoy.stop()
            require_ports(self.runtime)  # another may have come in between, which says more than Envoy's end
            raise
        health = self.runtime.config.health
        if health.port is not None:
            probes = Probes(self._is_ready, self._metrics, self.drain, self.totals.sightings)
            self._health = HealthServer(health.address, health.port, probes)
            await self._health.start()
        self.ready = True
        self._tasks.append(asyncio.ensure_future(self._keep_envoy()))
        if self._read_again:
            self._tasks.append(asyncio.ensure_future(self._watch_files()))
        return Ports(self._envoy.ports, self._health.port if self._health else None, self._ca)

    def _pin_ports(self) -> None:
        """A port that was picked stays the same when Envoy is started again."""
        ports = self._envoy.ports
        update = {"port": ports["main"], **({"plain_port": ports["plain"]} if "plain" in ports else {})}
        self._pinned = self.runtime.config.gateway.model_copy(update=update)
        bootstrap.replace(self._layout.bootstrap, bootstrap.bootstrap(self._with_pinned(self.runtime), self._layout))

    def _with_pinned(self, runtime: Runtime) -> Runtime:
        update = {name: getattr(self._pinned, name) for name in _RESTART_ONLY}
        gateway = runtime.config.gateway.model_copy(update=update)
        config = runtime.config.model_copy(update={"gateway": gateway})
        return runtime.with_config(config)

    async def _probe(self) -> None:
        """A request through Envoy and a worker."""
        context = None
        if self.runtime.config.gateway.tls != "none":
            context = ssl.create_default_context()  # our own listener, whatever its certificate says
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        address = self.runtime.config.gateway.address
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104
        deadline = time.monotonic() + _PROBE_WITHIN
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                async with asyncio.timeout(2):
                    reader, writer = await asyncio.open_connection(host, self._envoy.ports["main"], ssl=context)
                    writer.write(b"GET /health/liveness HTTP/1.1\r\nhost: probe\r\nconnection: close\r\n\r\n")
                    line = await reader.readuntil(b"\r\n")
                    writer.close()
                if line.startswith(b"HTTP/1.1 200") and await self._envoy.stat("http.main.downstream_rq_total"):
                    await self._envoy.require_listeners()
                    return  # and it was our Envoy that answered, not another one on the same port
            await asyncio.sleep(0.05)
        raise StartupError("no request goes through: Envoy is up but does not reach the processor")

    # while it runs

    async def _keep_envoy(self) -> None:
        wait = 0.1
        while True:
            began = time.monotonic()
            status = await self._envoy.wait()
            if self._stopping:
                return
            self.ready = False
            self.totals.own.add("extproc_restarts", "envoy")
            self._log.notice("envoy-ended", "Envoy ended by itself and is started again", status=status)
            wait = 0.1 if time.monotonic() - began > 10 else min(wait * 2, 5.0)
            while not self._stopping:
                await asyncio.sleep(wait)
                self._envoy = self._new_envoy()
                try:
                    await self._envoy.start()
                    await self._probe()
                except StartupError as error:
                    self._log.notice("envoy-failed", "Envoy cannot be started again", why=str(error))
                    await self._envoy.stop()
                    wait = min(wait * 2, 5.0)
                else:
                    self.ready = True
                    break

    def _is_ready(self) -> bool:
        return self.ready and not self._draining.is_set() and bool(self.pool.pids)

    def _metrics(self) -> bytes:
        self.totals.gauges["extproc_workers"] = len(self.pool.pids)
        self.totals.gauges["extproc_generation"] = self.runtime.generation
        return self.totals.text()

    # reload

    def _check(self, runtime: Runtime) -> None:
        pinned = self._with_pinned(routing(runtime))
        with tempfile.TemporaryDirectory(prefix="extproc-") as name:
            path = Path(name) / "envoy.yaml"
            path.write_text(static.text(pinned, self._layout), "utf-8")
            process.validate(self._binary, path)

    async def _swap(self, runtime: Runtime) -> None:
        before = self.runtime
        self._tell_what_waits(runtime, "gateway", _RESTART_ONLY)
        self._tell_what_waits(runtime, "processor", PROCESSOR_RESTART)
        await self.pool.prepare(runtime.loaded, runtime.generation)
        await self._publish([runtime, before], runtime.generation)
        await self.pool.reload(runtime.loaded, runtime.generation)
        self._put_in_force(runtime)
        asyncio.get_running_loop().call_later(_FORGET_AFTER, self._forget, runtime.generation)

    async def _publish(self, runtimes: list[Runtime], generation: int) -> None:
        """Give Envoy the clusters and routes of all these; of two with one name, the first counts."""
        found: dict[str, Json] = {}
        for runtime in runtimes:
            for each in clusters.group_clusters(self._with_pinned(runtime), self._layout):
                found.setdefault(each["name"], each)
        before = await self._envoy.stat("cluster_manager.cds.update_success")
        bootstrap.replace(self._layout.clusters, bootstrap.resources(list(found.values()), generation))
        for _ in range(100):
            if await self._envoy.stat("cluster_manager.cds.update_success") > before:
                break
            await asyncio.sleep(0.02)
        config = routes.merged([self._with_pinned(each) for each in runtimes])
        bootstrap.replace(self._layout.routes, bootstrap.resources([config], generation))
        await asyncio.sleep(0.1)

    def _forget(self, generation: int) -> None:
        """Take away what only the configuration before needed, unless there has been another since."""
        if self.runtime.generation == generation and not self._stopping and not self._reloading.locked():
            pinned = self._with_pinned(self.runtime)
            bootstrap.replace(self._layout.routes, bootstrap.resources([routes.route_config(pinned)], generation))
            bootstrap.replace(
                self._layout.clusters, bootstrap.resources(clusters.group_clusters(pinned, self._layout), generation)
            )

    # stop

    def drain(self) -> None:
        """Begin to end: not ready any more, and no new connections wanted."""
        if not self._draining.is_set():
            self._draining.set()
            self._log.notice("draining", "no new work is taken; open answers may end")
            self._tasks.append(asyncio.ensure_future(self._envoy.drain()))

    async def drained(self) -> None:
        """Wait until no request is open, at most ``gateway.drain``."""
        deadline = time.monotonic() + self.runtime.config.gateway.drain
        while time.monotonic() < deadline and await self._envoy.active():  # noqa: ASYNC110  Envoy has to be asked
            await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """End everything at once and leave nothing behind."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._health:
            await self._health.stop()
        await self._envoy.stop()
        await self.pool.stop(1.0)
        shutil.rmtree(self._run, ignore_errors=True)


@asynccontextmanager
async def running(
    runtime: Runtime, log: Log, options: Options, read: Callable[[], Loaded] | None = None
) -> AsyncIterator[tuple[Supervisor, Ports]]:
    """Run a gateway until the block is left.

    Raises:
        StartupError: something cannot be started.
    """
    supervisor = Supervisor(runtime, log, options, read)
    try:
        yield supervisor, await supervisor.start()
    finally:
        await supervisor.stop()


def routing(runtime: Runtime) -> Runtime:
    """The same.

    Raises:
        StartupError: it routes nothing.
    """
    if runtime.guards_only:
        raise StartupError(
            "this configuration has no providers, so a gateway has nowhere to send requests; to guard what another Envoy "
            "routes: extproc serve, and extproc render --guard-only"
        )
    return runtime
