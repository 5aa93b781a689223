"""The benchmark: the same load through the same Envoy, bare and with ours, and through others; interleaved.

Usage: python -m tests.bench [--smoke] [--only CASE] [--variants NAME,NAME] [--rounds N] [--seconds S] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import orjson
import uvloop

from extproc.version import __version__
from tests.bench.cases import CASES, Case
from tests.bench.measure import Figures, run_once, summary
from tests.bench.report import LEGEND, table
from tests.bench.variants import ACCOUNTABLE, ALONE, NAMES, Gateway, Skipped, open_variant, script

_START = "start"


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="tests.bench", description="Bare Envoy, ours, and others; side by side.")
    parser.add_argument("--smoke", action="store_true", help="a fraction of a second each: does it work, not how fast")
    parser.add_argument(
        "--only", action="append", metavar="CASE", help=f"{', '.join(each.name for each in CASES)}, start"
    )
    parser.add_argument("--variants", metavar="NAMES", help=f"some of: {'; '.join(NAMES)} (separated by semicolons)")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long a run is (default 3)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each (default 5)")
    parser.add_argument("--workers", type=int, default=1, help="worker processes (default 1)")
    parser.add_argument("--threads", type=int, default=1, help="threads of Envoy (default 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures there")
    options = parser.parse_args()
    if options.smoke:
        options.rounds, options.seconds = 1, 0.3
    options.chosen = [each for each in CASES if not options.only or each.name in options.only]
    unknown = {*(options.only or ())} - {_START, *(each.name for each in CASES)}
    options.names = [each.strip() for each in options.variants.split(";")] if options.variants else list(NAMES)
    unknown |= {*options.names} - {*NAMES}
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    return options


async def main(options: argparse.Namespace) -> int:
    """Measure and print; returns the exit status: 1 where an answer was not right."""
    found: dict[str, Any] = {"machine": machine(options), "skipped": {}, "cases": {}}
    print(f"{' · '.join(f'{name} {value}' for name, value in found['machine'].items())}\n")
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        provider, line = await stack.enter_async_context(script("tests.bench.upstream"))
        alone = Gateway(int(line), {"provider": [provider.pid]})
        gateways = {}
        for number, name in enumerate(options.names if options.chosen else ()):
            try:
                gateway = await stack.enter_async_context(
                    open_variant(name, alone.port, folder / str(number), options.workers, options.threads)
                )
            except Skipped as error:
                found["skipped"][name] = str(error)
                print(f"skipped: {name}: {error}\n", flush=True)
                continue
            gateway.pids["provider"] = [provider.pid]
            gateways[name] = gateway
        for case in options.chosen:
            rows = await measure(case.shortened() if options.smoke else case, alone, gateways, options)
            print(table(case, rows), flush=True)
            found["cases"][case.name] = rows
    if not options.only or _START in options.only:
        found["start_seconds"] = statistics.median([await first_answer() for _ in range(min(options.rounds, 3))])
        print(f"From the command to a gateway that answers: {found['start_seconds']:.2f} s\n")
    print(LEGEND, end="")
    if options.json:
        options.json.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    wrong = any(rows[name]["errors"] for rows in found["cases"].values() for name in ACCOUNTABLE if name in rows)
    return 1 if wrong else 0


async def measure(
    case: Case, alone: Gateway, gateways: dict[str, Gateway], options: argparse.Namespace
) -> dict[str, Figures]:
    """All rounds of a case. Within a round every variant has its turn, and another one begins each time."""
    runs: dict[str, list[Figures]] = {ALONE: [await run_once(alone, options.seconds, case)]}
    runs |= {name: [] for name in gateways}
    names = list(gateways)
    early = {name: [] if options.smoke else [await run_once(each, 0.5, case)] for name, each in gateways.items()}
    for turn in range(options.rounds):
        start = turn % len(names) if names else 0
        for name in names[start:] + names[:start]:
            runs[name].append(await run_once(gateways[name], options.seconds, case))
    found = {name: summary(case, each) for name, each in runs.items()}
    for name, warm in early.items():  # of what warms up (connections, memory, code) only errors count
        for what, count in (problem for run in warm for problem in run["errors"].items()):
            found[name]["errors"][what] = found[name]["errors"].get(what, 0) + count
    return found


async def first_answer() -> float:
    """Seconds from the command to the demonstration's first line: by then a request has gone through."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "extproc", "demo", "--once", stdout=asyncio.subprocess.PIPE
    )
    if process.stdout is not None:
        await process.stdout.readuntil(b"client\n")
    ready = time.perf_counter() - began
    await process.communicate()
    return ready


def machine(options: argparse.Namespace) -> dict[str, str]:
    """What the figures depend on besides the code."""
    return {
        "llm-extproc": __version__,
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "load before": f"{os.getloadavg()[0]:.1f}",
        "workers": str(options.workers),
        "Envoy threads": str(options.threads),
        "rounds": f"{options.rounds} of {options.seconds:g} s",
    }


if __name__ == "__main__":
    sys.exit(uvloop.run(main(arguments())))
