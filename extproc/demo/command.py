"""``extproc demo``: the demonstration, and scenes. All of it offline, without keys, on free ports."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import queue
import shlex
import shutil
import socket
import sys
import time
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from extproc.config.load import Loaded, load
from extproc.config.model import Config
from extproc.demo.model import FakeModel
from extproc.demo.show import Client, Seen, lines, show
from extproc.demo.stage import NotSo, Stage
from extproc.gateway import Options
from extproc.loop import run
from extproc.runtime import Runtime, compile_runtime
from extproc.signals import Signals, until_stopped
from extproc.supervisor import running
from extproc.telemetry import Log

SCENES: Final = {
    "split-secret": "a secret cut over many events of a streamed answer is redacted, or the answer stopped",
    "restore": "an address goes to the model as a placeholder, and comes back in a streamed tool argument",
    "kill-worker": "a worker is killed in the middle of answers: nothing passes raw, new requests are served",
    "failover": "a provider fails; another one, with another API, answers the same client",
    "shadow": "an Envoy of others: in the shadow nothing changes and all is counted; then it is enforced on a route",
}
"""What each shows; they are modules of ``extproc.demo.scenes``."""
_REAL: Final = "Envoy and the processor are real, the models are made up, and nothing leaves this machine."


def demo(options: argparse.Namespace, where: Options) -> int:
    """The demonstration, which stays up unless ``--once``, or a scene, which ends by itself: 1 if something was not so."""
    if options.scene and (options.host or options.port is not None):
        print("error: scenes take free ports of loopback; --host and --port are for the demonstration", file=sys.stderr)
        return 2
    return run(_scene(options.scene, where) if options.scene else _demo(options, where))


async def _scene(name: str, where: Options) -> int:
    stage = Stage(where, lambda text: print(text, flush=True))
    began = time.monotonic()
    print(f"Scene {name}: {SCENES[name]}.\n{_REAL}", flush=True)
    try:
        await importlib.import_module(f"extproc.demo.scenes.{name.replace('-', '_')}").play(stage)
    except (NotSo, TimeoutError) as error:
        print(f"error: {error if isinstance(error, NotSo) else 'nothing happened for too long'}", file=sys.stderr)
        return 1
    finally:
        stage.close()
    print(f"\nAll of it was so. It took {time.monotonic() - began:.0f} seconds.", flush=True)
    return 0


async def _demo(options: argparse.Namespace, where: Options) -> int:
    signals = Signals()
    seen: queue.SimpleQueue[Seen | None] = queue.SimpleQueue()
    model = FakeModel(told=lambda text: seen.put(Seen("model", text, time.monotonic())))
    runtime = _runtime(await model.start(), options)
    log = Log("text")
    log.quiet = True  # the demonstration's own output first
    try:
        async with running(runtime, log, where) as (supervisor, ports):
            ca = str(ports.ca)
            client = Client(ports.listeners["main"], ca)
            await asyncio.to_thread(show, client, seen, lambda text: print(text, flush=True))
            print(f"\nMore to see, each a minute at most:\n\n{scenes(called(sys.argv[0]))}", flush=True)
            if options.once:
                return 0
            print(lines(ports.listeners["main"], ports.listeners.get("plain"), ca), flush=True)
            log.quiet = False
            supervisor.pool.speak()
            await until_stopped(signals, supervisor, log)
            return 0
    finally:
        await model.stop()


def scenes(program: str = "extproc") -> str:
    """The scenes, as commands."""
    return "\n".join(f"  {program} demo {name:<14}{text}" for name, text in SCENES.items())


def called(argument: str) -> str:
    """What to type to call this program again: its name where the shell finds it, else its path (``.venv/bin/extproc``).

    Args:
        argument: the first of the process.
    """
    path = Path(argument)
    if path.name not in ("extproc", "llm-extproc"):  # python -m extproc, a test
        return "extproc"
    found = shutil.which(path.name)
    return path.name if found and Path(found).resolve() == path.resolve() else shlex.quote(argument)


def _runtime(model_port: int, options: argparse.Namespace) -> Runtime:
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
