"""What the commands do. Each takes the parsed options and returns an exit status."""

from __future__ import annotations

import argparse
import asyncio
import os
import queue
import signal
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.resources import as_file, files
from pathlib import Path

import yaml

from extproc.config.load import Loaded, load
from extproc.config.model import Config
from extproc.demo.model import FakeModel
from extproc.demo.show import Client, Seen, lines, show
from extproc.envoy import binary, bootstrap, process, static
from extproc.errors import StartupError
from extproc.framing.jsontext import dump_pretty
from extproc.gateway import Options, layout_for, upstream_ca
from extproc.live import look
from extproc.loop import run
from extproc.metrics import Totals
from extproc.policy import packs
from extproc.pool import Pool
from extproc.runtime import Runtime, compile_runtime, effective
from extproc.supervisor import Supervisor, running
from extproc.telemetry import Log


def up(options: argparse.Namespace) -> int:
    """Envoy and the workers, until a signal."""
    loaded, runtime = _runtime(options, _listen_overrides(options))
    log = Log(loaded.config.log.format)
    return run(_up(runtime, log, _options(options), lambda: _load(options, _listen_overrides(options))))


async def _up(runtime: Runtime, log: Log, options: Options, read: Callable[[], Loaded]) -> int:
    signals = Signals()
    async with running(runtime, log, options, read) as (supervisor, ports), _pid_file(options.state):
        scheme = "http" if runtime.config.gateway.tls == "none" else "https"
        details: dict[str, str | int] = {"url": f"{scheme}://{_public(runtime)}:{ports.listeners['main']}/v1"}
        if "plain" in ports.listeners:
            details["plain"] = f"http://127.0.0.1:{ports.listeners['plain']}/v1"
        if ports.ca:
            details["ca"] = str(ports.ca)
        if ports.health is not None:
            details["health"] = f"http://{runtime.config.health.address}:{ports.health}/health/readiness"
        log.notice("ready", "the gateway is ready", policies=runtime.armed or "none", **details)
        await until_stopped(signals, supervisor, log)
    return 0


async def until_stopped(signals: Signals, supervisor: Supervisor, log: Log) -> None:
    """Serve; SIGHUP reads the configuration again, SIGUSR1 replaces the workers, a signal to stop drains, a second ends."""
    while (name := await signals.next()) in _ORDERS:
        await (supervisor.reload() if name == "SIGHUP" else supervisor.restart_workers())
    log.notice("stopping", "stopping; once more to stop at once", signal=name)
    supervisor.drain()
    drained = asyncio.ensure_future(supervisor.drained())
    again = asyncio.ensure_future(signals.next_stop())
    await asyncio.wait({drained, again}, return_when=asyncio.FIRST_COMPLETED)
    for each in (drained, again):
        each.cancel()


_ORDERS = ("SIGHUP", "SIGUSR1")
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
        while (name := await self.next()) in _ORDERS:
            pass
        return name


@asynccontextmanager
async def _pid_file(state: Path) -> AsyncIterator[None]:
    """Says where `extproc reload` finds us."""
    path = state / "pid"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(os.getpid()), "utf-8")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def reload(options: argparse.Namespace) -> int:
    """Tell the running gateway to read its configuration again, or with ``--workers`` to replace its workers."""
    path = _state(options) / "pid"
    try:
        pid = int(path.read_text("utf-8"))
        os.kill(pid, signal.SIGUSR1 if options.workers else signal.SIGHUP)
    except (OSError, ValueError):
        raise StartupError(f"no gateway of this state folder is running ({path})") from None
    print(f"told process {pid}; its log says what came of it")
    return 0


def serve(options: argparse.Namespace) -> int:
    """The workers alone, until a signal."""
    loaded, runtime = _runtime(options)
    log = Log(loaded.config.log.format)
    return run(_serve(runtime, log, options))


async def _serve(runtime: Runtime, log: Log, options: argparse.Namespace) -> int:
    signals = Signals()
    layout, _ = layout_for(runtime, _run_folder(options), _state(options))
    if options.write_envoy:
        bootstrap.write(runtime, layout)
    pool = Pool(layout.processors, runtime.config.processor.native, log, Totals(), runtime.packs)
    try:
        await pool.start(runtime.loaded, runtime.generation)
        address = ", ".join(layout.processors)
        log.notice("ready", "the processor is ready", address=address, policies=runtime.armed or "none")
        await signals.next_stop()
        log.notice("stopping", "stopping")
    finally:
        await pool.stop(runtime.config.gateway.drain)
    return 0


def demo(options: argparse.Namespace) -> int:
    """The demonstration; stays up unless ``--once``."""
    return run(_demo(options))


async def _demo(options: argparse.Namespace) -> int:
    signals = Signals()
    seen: queue.SimpleQueue[Seen | None] = queue.SimpleQueue()
    model = FakeModel(told=lambda text: seen.put(Seen("model", text, time.monotonic())))
    runtime = _demo_runtime(await model.start(), options)
    log = Log("text")
    log.quiet = True  # the demonstration's own output first
    try:
        async with running(runtime, log, _options(options)) as (supervisor, ports):
            ca = str(ports.ca)
            client = Client(ports.listeners["main"], ca)
            await asyncio.to_thread(show, client, seen, lambda text: print(text, flush=True))
            if options.once:
                return 0
            print(lines(ports.listeners["main"], ports.listeners.get("plain"), ca), flush=True)
            log.quiet = False
            supervisor.pool.speak()
            await until_stopped(signals, supervisor, log)
            return 0
    finally:
        await model.stop()


def _demo_runtime(model_port: int, options: argparse.Namespace) -> Runtime:
    provider = {"type": "openai-compatible", "base_url": f"http://127.0.0.1:{model_port}/v1", "keys": "none"}
    with as_file(files("extproc.demo") / "demo.yaml") as path:
        loaded = load(path, {})
    port = options.port if options.port is not None else _free_or(8443)
    gateway = loaded.config.gateway.model_copy(
        update={"address": options.host or "127.0.0.1", "port": port, "plain_port": _free_or(8080)}
    )
    health = {"port": _free_or(8081)}
    tree = {**loaded.config.model_dump(mode="json", exclude_unset=True), "providers": {"demo": provider}}
    config = Config.model_validate({**tree, "gateway": gateway.model_dump(mode="json"), "health": health})
    return compile_runtime(Loaded(config, loaded.source, {}, Path.cwd()))


def _free_or(port: int) -> int:
    """The port, or 0 (any) where something listens on it already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port


_UP_TO_CLIENTS = (
    "clients choose model and operation, so whoever asks for these goes without {}; to limit it to some clients, add "
    "`jwt`, `principal` or `route`"
)


def check(options: argparse.Namespace) -> int:
    """Say that the configuration is good, and what it comes to."""
    loaded, runtime = _runtime(options)
    source = ", ".join(str(path) for path in loaded.source.files) or "the environment (no file)"
    print(f"configuration: {source}: ok")
    for policy in runtime.attached.usual.policies:
        phases = "+".join(sorted(phase.value for phase in policy.phases))
        print(f"policy {policy.name}: {policy.action.value}, {policy.mode.value}, {phases}, {len(policy.rules)} rules")
    for group in runtime.groups:
        print(f"model {group.name}: {', '.join(backend.name for backend in group.backends)}")
    for index, each in enumerate(loaded.config.attach or ()):
        if each.up_to_clients:
            print(f"warning: {loaded.problem(('attach', index), _UP_TO_CLIENTS.format(', '.join(each.without or ())))}")
    print(f"packs found: {', '.join(packs.available(_folder(options)))}")
    _check_with_envoy(runtime, options)
    return _check_live(runtime) if options.live else 0


def _check_live(runtime: Runtime) -> int:
    findings = list(look(runtime, upstream_ca(runtime)))
    for finding in findings:
        print(f"{'ok   ' if finding.ok else 'FAIL '} {finding.text}")
    return 0 if all(finding.ok for finding in findings) else 1


def _check_with_envoy(runtime: Runtime, options: argparse.Namespace) -> None:
    """Let Envoy check what it would be given, where there is one."""
    try:
        envoy = binary.find(options.envoy)
    except StartupError as error:
        if options.envoy:
            raise
        print(f"not checked by Envoy: {error}")
        return
    with tempfile.TemporaryDirectory(prefix="extproc-") as name:
        folder = Path(name)
        layout, _ = layout_for(runtime, folder, folder)
        layout.bootstrap.write_text(static.text(runtime, layout), "utf-8")
        process.validate(envoy, layout.bootstrap)
    print("checked by Envoy: ok")


def show_config(options: argparse.Namespace) -> int:
    """The effective configuration as YAML, or the schema as JSON."""
    if options.schema:
        print(schema())
        return 0
    loaded, _ = _runtime(options)
    print(yaml.safe_dump(effective(loaded), sort_keys=False, allow_unicode=True), end="")
    return 0


def schema() -> str:
    """The JSON Schema of the configuration file, as published in ``extproc/config/extproc.schema.json``."""
    return dump_pretty({"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()})


def render(options: argparse.Namespace) -> int:
    """One self-contained bootstrap on standard output."""
    _, runtime = _runtime(options)
    layout, _ = layout_for(runtime, _run_folder(options), _state(options))
    print(static.text(runtime, layout), end="")
    return 0


# what the commands share


def _runtime(options: argparse.Namespace, overrides: dict[str, str] | None = None) -> tuple[Loaded, Runtime]:
    loaded = _load(options, overrides or {})
    return loaded, compile_runtime(loaded, packs=_folder(options))


def _load(options: argparse.Namespace, overrides: dict[str, str]) -> Loaded:
    named = (
        options.config
        or os.environ.get("EXTPROC_CONFIG")
        or ("extproc.yaml" if Path("extproc.yaml").is_file() else None)
    )
    return load(Path(named) if named else None, {**os.environ, **overrides})


def _listen_overrides(options: argparse.Namespace) -> dict[str, str]:
    found = {}
    if options.host:
        found["EXTPROC_GATEWAY__ADDRESS"] = options.host
    if options.port is not None:
        found["EXTPROC_GATEWAY__PORT"] = str(options.port)
    return found


def _folder(options: argparse.Namespace) -> Path | None:
    return Path(options.policies) if options.policies else None


def _run_folder(options: argparse.Namespace) -> Path:
    return Path(options.folder).resolve()


def _state(options: argparse.Namespace) -> Path:
    named = options.state or os.environ.get("EXTPROC_STATE")
    if named:
        return Path(named).resolve()
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "llm-extproc"


def _options(options: argparse.Namespace) -> Options:
    return Options(_state(options), options.envoy)


def _public(runtime: Runtime) -> str:
    address = runtime.config.gateway.address
    return "localhost" if address in ("127.0.0.1", "0.0.0.0", "::", "::1") else address  # noqa: S104
