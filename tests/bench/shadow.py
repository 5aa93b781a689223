"""What a shadow costs: one Envoy without the filter, and one with it while its processor is well, stands still, or is dead.

Usage: python -m tests.bench.shadow [--rounds N] [--seconds S]

Also the greatest memory of Envoy while some hundred MB pass a processor that stands still.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import uvloop

from extproc.config.model import Config
from extproc.envoy import bootstrap, types
from extproc.envoy.binary import find
from extproc.envoy.filters import guard_filter
from extproc.envoy.layout import Layout
from extproc.envoy.process import Envoy, die_with_parent
from extproc.envoy.processor import Processor, processor_cluster
from tests.bench.cases import MIB, Case
from tests.bench.measure import Figures, run_once
from tests.bench.variants import Gateway, bare_config, guards, script

_CASES = (
    Case("json-1", "1 connection, 1 KB", 1),
    Case("paced-32", "32 streams of 100 events, one each 20 ms", 32, events=100, pace=20),
    Case("json-32", "32 connections, 1 KB", 32),
    Case("stream-32", "32 streams of 100 events, unpaced", 32, events=100),
    Case("prompt-10m", "prompts of 10 MiB, 20 connections", 20, prompt=10 * MIB),
)
_STATES = ("no filter", "alive", "hung", "dead")


class Serving:
    """`extproc serve`, in one of the states."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        config = {"version": 1, "health": {"port": None}, "processor": {"bind": "unix:w{n}.sock"}, "policies": guards()}
        (folder / "extproc.yaml").write_bytes(orjson.dumps(config))

    async def start(self) -> None:
        """Until it is ready."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "extproc", "serve", "--run", ".", "--state", "state", cwd=self._folder,
            stdout=asyncio.subprocess.PIPE, preexec_fn=die_with_parent,
        )  # fmt: skip
        if self._process.stdout is None or b"ready" not in await self._process.stdout.readline():
            raise RuntimeError("the processor does not start")
        self._drained = asyncio.ensure_future(self._process.stdout.read())

    @property
    def pids(self) -> list[int]:
        """It and its workers."""
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]

    def signal(self, number: signal.Signals) -> None:
        """To all its processes."""
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):  # it ended with its parent
                os.kill(pid, number)

    async def stop(self) -> None:
        """Kill it."""
        if self._process.returncode is None:
            self.signal(signal.SIGKILL)  # those that stand still, too
        await self._process.wait()
        self._drained.cancel()


@asynccontextmanager
async def _envoy(folder: Path, upstream: int, *, shadow: bool) -> AsyncIterator[Envoy]:
    config = bare_config(upstream)
    if shadow:
        listener = config["static_resources"]["listeners"][0]
        filters = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
        filters.insert(0, guard_filter(Config(), shadow=True))
        processor = Processor((str(folder / "w0.sock"),))
        config["static_resources"]["clusters"].append(processor_cluster(processor, types.SHADOW_CLUSTER))
    own = folder / ("shadow" if shadow else "bare")
    own.mkdir(exist_ok=True)
    layout = Layout(own, own, own, "", ())
    bootstrap.replace(layout.bootstrap, config)
    envoy = Envoy(find(), layout, threads=1)
    await envoy.start()
    try:
        yield envoy
    finally:
        await envoy.stop()


async def _measured(case: Case, state: str, folder: Path, upstream: int, seconds: float) -> Figures:
    """One run, with an Envoy and a processor of its own."""
    async with AsyncExitStack() as stack:
        serving = Serving(folder)
        if state != "no filter":
            await serving.start()
            stack.push_async_callback(serving.stop)
        envoy = await stack.enter_async_context(_envoy(folder, upstream, shadow=state != "no filter"))
        while state != "no filter" and not await envoy.stat(f"cluster.{types.SHADOW_CLUSTER}.membership_healthy"):
            await asyncio.sleep(0.05)
        if state in ("hung", "dead"):
            serving.signal(signal.SIGSTOP if state == "hung" else signal.SIGKILL)
        found = await run_once(Gateway(envoy.ports["main"], {"envoy": [envoy.pid]}), seconds, case)
        found["unseen"] = await envoy.stat(f"cluster.{types.SHADOW_CLUSTER}.upstream_rq_pending_overflow")
        return found


async def main(options: argparse.Namespace) -> int:
    """Measure and print; status 1 where an answer was not right."""
    wrong = 0
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _, line = await stack.enter_async_context(script("tests.bench.upstream"))
        for case in _CASES:
            runs: dict[str, list[Figures]] = {state: [] for state in _STATES}
            for _ in range(options.rounds):
                for state in _STATES:
                    runs[state].append(await _measured(case, state, folder, int(line), options.seconds))
            print(_table(case, runs), flush=True)
            wrong += sum(bool(run["errors"]) for each in runs.values() for run in each)
    return 1 if wrong else 0


def _table(case: Case, runs: dict[str, list[Figures]]) -> str:
    def median(state: str, key: str) -> float:
        return float(
            statistics.median([run[key] / run["seconds"] if key == "exchanges" else run[key] for run in runs[state]])
        )

    base, quick = median("no filter", "exchanges"), median("no filter", "latency_p50_ms")
    lines = [
        f"### {case.title}\n",
        "| processor | requests/s | of none | p50 ms | of none | max ms | Envoy MiB | MB in | not seen | errors |",
        "|---" * 10 + "|",
    ]
    for state, each in runs.items():
        rate, p50 = median(state, "exchanges"), median(state, "latency_p50_ms")
        errors: dict[str, Any] = {}
        for run in each:
            errors |= run["errors"]
        cells = [
            state, f"{rate:,.0f}", f"{rate / base:.2f}", f"{p50:.2f}", f"{p50 / quick:.2f}",
            f"{max(run['latency_max_ms'] for run in each):.0f}", f"{max(run['memory']['envoy'] for run in each) / MIB:.0f}",
            f"{max(run['exchanges'] for run in each) * case.prompt / 1e6:,.0f}", str(sum(run["unseen"] for run in each)),
            str(errors or 0),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="tests.bench.shadow", description="What a shadow costs.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    sys.exit(uvloop.run(main(parser.parse_args())))
