"""What is measured: the same Envoy bare and with ours in several ways, and other gateways where they are installed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import yaml

from extproc.envoy import bootstrap, types
from extproc.envoy.binary import find
from extproc.envoy.layout import Layout
from extproc.envoy.process import Envoy, die_with_parent
from extproc.envoy.types import Json, typed
from extproc.policy import packs

BARE = "bare Envoy"
ALONE = "the fake provider alone"
LITELLM = "LiteLLM"


class Skipped(Exception):
    """A variant that cannot be had here; says why."""


@dataclass
class Gateway:
    """Something that listens, and its processes by what they do."""

    port: int
    pids: dict[str, list[int]] = field(default_factory=dict)


def guards() -> dict[str, Any]:
    """A policy for personal data and one for every pack there is, each in both directions."""
    found: dict[str, Any] = {"pii": {"kind": "pii"}}
    for pack in packs.available():
        found[pack] = {"kind": "wordlist", "pack": pack, "phase": "both"}
        if pack == "prompt-injection":
            found[pack]["action"] = "block"
    return found


OURS: dict[str, dict[str, Any]] = {
    "no policies": {"policies": {}, "attach": []},
    "all guards": {"policies": guards()},
    "all guards, two backends": {"policies": guards(), "models": {"*": ["bench", "again"]}},
    "all guards, failing over": {"policies": guards(), "models": {"*": ["gone", "bench"]}},
    "no policies, grpc.aio": {"policies": {}, "attach": [], "processor": {"transport": "grpcio"}},
    "all guards, grpc.aio": {"policies": guards(), "processor": {"transport": "grpcio"}},
}
"""By name: what each variant lays over the configuration that all have."""

NAMES = (BARE, *OURS, LITELLM)
ACCOUNTABLE = (ALONE, BARE, *OURS)
"""Of these a wrong answer fails the benchmark; what others do under load is only told."""


def open_variant(
    name: str, upstream: int, folder: Path, workers: int, threads: int
) -> contextlib.AbstractAsyncContextManager[Gateway]:
    """Run it until the block is left; raises Skipped where it cannot be had."""
    folder.mkdir()
    if name == BARE:
        return _bare(upstream, folder, threads)
    if name == LITELLM:
        return _litellm(upstream, folder, workers)
    return _ours(name, upstream, folder, workers, threads)


@asynccontextmanager
async def script(module: str, *arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, bytes]]:
    """One of our own processes and the first line it says; it ends with its standard input."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, preexec_fn=die_with_parent,
    )  # fmt: skip
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("no pipes")
    try:
        yield process, await process.stdout.readline()
    finally:
        process.stdin.close()
        await _ended(process, 15)


async def _ended(process: asyncio.subprocess.Process, seconds: float) -> None:
    try:
        await asyncio.wait_for(process.wait(), seconds)
    except TimeoutError:
        process.kill()
        await process.wait()


@asynccontextmanager
async def _bare(upstream: int, folder: Path, threads: int) -> AsyncIterator[Gateway]:
    """Envoy alone: one listener, one cluster, no filter but the router."""
    layout = Layout(folder, folder, folder, "", ())
    bootstrap.replace(layout.bootstrap, bare_config(upstream))
    envoy = Envoy(find(), layout, threads=threads)
    await envoy.start()
    try:
        yield Gateway(envoy.ports["main"], {"envoy": [envoy.pid]})
    finally:
        await envoy.stop()


def bare_config(upstream: int) -> Json:
    """What that Envoy is told."""
    route = {"match": {"prefix": "/"}, "route": {"cluster": "u", "timeout": "60s"}}
    manager = typed(
        types.HTTP_MANAGER,
        stat_prefix="bare",
        route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        http_filters=[{"name": "envoy.filters.http.router", "typed_config": typed(types.ROUTER)}],
    )
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    limit = {"max_connections": 10000, "max_pending_requests": 10000, "max_requests": 10000}
    cluster = {
        "name": "u",
        "type": "STATIC",
        "circuit_breakers": {"thresholds": [limit]},
        "load_assignment": {
            "cluster_name": "u",
            "endpoints": [{"lb_endpoints": [{"endpoint": types.address("127.0.0.1", upstream)}]}],
        },
    }
    return {
        "admin": types.address("127.0.0.1", 0),
        "static_resources": {
            "listeners": [{"name": "main", **types.address("127.0.0.1", 0), "filter_chains": [chain]}],
            "clusters": [cluster],
        },
    }


@asynccontextmanager
async def _ours(name: str, upstream: int, folder: Path, workers: int, threads: int) -> AsyncIterator[Gateway]:
    """One gateway in a process of its own, as `extproc up` is, with its logs written."""
    own = OURS[name]
    config = {
        "gateway": {"tls": "none", "port": 0},
        "health": {"port": None},
        "providers": {"bench": _provider(upstream), "again": _provider(upstream), "gone": _provider(1)},
        "models": {"*": "bench"},
        "log": {"format": "json"},
        **own,
        "processor": {"workers": workers, **own.get("processor", {})},
    }
    path = folder / "extproc.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
    async with script("tests.bench.gateway", str(path), str(threads)) as (_, line):
        said = orjson.loads(line or b'{"refused": "it ended while starting"}')
        if "refused" in said:
            raise Skipped(said["refused"].replace(f"{folder}{os.sep}", ""))
        yield Gateway(said["port"], said["pids"])


def _provider(port: int) -> Json:
    return {"type": "openai-compatible", "base_url": f"http://127.0.0.1:{port}/v1", "keys": "none"}


@asynccontextmanager
async def _litellm(upstream: int, folder: Path, workers: int) -> AsyncIterator[Gateway]:
    """LiteLLM's proxy, from an environment of its own."""
    command = os.environ.get("EXTPROC_BENCH_LITELLM")
    if not command:
        raise Skipped("EXTPROC_BENCH_LITELLM does not name its command (pip install 'litellm[proxy]' elsewhere)")
    target = {"model": "openai/bench", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "none"}
    value = {
        "model_list": [{"model_name": "bench", "litellm_params": target}],
        "general_settings": {"dangerously_permit_weak_or_unset_master_key": True},  # on loopback, for a fake provider
    }
    config = folder / "litellm.yaml"
    config.write_text(yaml.safe_dump(value), "utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "litellm.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            command, "--config", str(config), "--host", "127.0.0.1", "--port", str(port),
            "--num_workers", str(workers), "--telemetry", "False",
            stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, preexec_fn=die_with_parent,
            env={**os.environ, "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        )  # fmt: skip
    try:
        await _answers(process, port, folder / "litellm.log")
        yield Gateway(port, {"worker": [process.pid]})
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        await _ended(process, 10)


async def _answers(process: asyncio.subprocess.Process, port: int, log: Path) -> None:
    for _ in range(600):
        if process.returncode is not None:
            break
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /health/liveliness HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")
            line = await reader.readline()
            writer.close()
            if b" 200 " in line:
                return
        await asyncio.sleep(0.1)
    last = log.read_text("utf-8", "replace").strip().splitlines()[-1:]
    raise Skipped(f"it does not start: {' '.join(last)[:200]}")
