"""One run of one case against one variant, with what it cost; and what several runs come to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from tests.bench.cases import MIB, Case
from tests.bench.variants import Gateway

_TICKS = os.sysconf("SC_CLK_TCK")
_EVERY = 0.1
_IDLE = 0.03
Figures = dict[str, Any]


async def run_once(gateway: Gateway, seconds: float, case: Case) -> Figures:
    """Put the load on a gateway: what the load generator saw, and CPU seconds and peak memory by kind of process."""
    before = {kind: _cpu(pids) for kind, pids in gateway.pids.items()}
    memory: Counter[str] = Counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.load", str(gateway.port), str(seconds), orjson.dumps(asdict(case)).decode(),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said = asyncio.ensure_future(process.communicate())
    while not said.done():
        await asyncio.wait({said}, timeout=_EVERY)
        for kind, pids in gateway.pids.items():
            memory[kind] = max(memory[kind], sum(map(_memory, pids)))
    out, _ = said.result()
    if process.returncode:
        raise RuntimeError(f"the load generator failed with status {process.returncode}")
    found: Figures = orjson.loads(out)
    found["cpu"] = {kind: _cpu(pids) - before[kind] for kind, pids in gateway.pids.items()}
    found["memory"] = dict(memory)
    if gone := sum(not Path(f"/proc/{pid}").exists() for pids in gateway.pids.values() for pid in pids):
        found["errors"]["a process ended"] = gone
    if "unfinished" in found["errors"]:
        await _settled([pid for pids in gateway.pids.values() for pid in pids])
    return found


async def _settled(pids: list[int]) -> None:
    """What an overloaded gateway still works on must not disturb the next run."""
    for _ in range(60):
        before = _cpu(pids)
        await asyncio.sleep(0.5)
        if _cpu(pids) - before < _IDLE:
            return


def _cpu(pids: list[int]) -> float:
    """Seconds of CPU these processes have used."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def _memory(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def summary(case: Case, runs: list[Figures]) -> Figures:
    """The medians of the runs, the sum of their errors; costs by exchange, or by event where the case has events."""
    unit = "events" if case.events else "exchanges"

    def median(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return statistics.median(known) if known else None

    errors: Counter[str] = Counter()
    for run in runs:
        errors.update(run["errors"])
    found: Figures = {
        "per_second": median([run[unit] / run["seconds"] for run in runs]),
        "exchanges": sum(run["exchanges"] for run in runs),
        "errors": dict(errors),
        "load_cpu": median([run["load_cpu"] for run in runs]),
    }
    for name in [name for name in runs[0] if name.endswith("_ms")]:
        found[name] = median([run[name] for run in runs])
    for kind in runs[0]["cpu"]:
        found[f"{kind}_us"] = median([run["cpu"][kind] * 1e6 / run[unit] if run[unit] else None for run in runs])
    for kind in runs[0]["memory"]:
        found[f"{kind}_mib"] = max(run["memory"][kind] for run in runs) / MIB
    return found
