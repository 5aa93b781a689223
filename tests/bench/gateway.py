"""A gateway as `extproc up` runs it. Usage: gateway.py CONFIG THREADS; says where it is in one line, ends with its input."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import orjson

from extproc.config.load import load
from extproc.errors import ConfigError, StartupError
from extproc.gateway import Options
from extproc.loop import run
from extproc.runtime import compile_runtime
from extproc.supervisor import running
from extproc.telemetry import Log


async def _main(path: Path, threads: int, told: int) -> int:
    try:
        runtime = compile_runtime(load(path, {}))
    except ConfigError as error:
        _say(told, refused="; ".join(str(each) for each in error.problems))
        return 1
    try:
        options = Options(path.parent / "state", threads=threads)
        async with running(runtime, Log("json"), options) as (gateway, ports):
            pids = {"envoy": [gateway.envoy.pid], "worker": gateway.pool.pids}
            _say(told, port=ports.listeners["main"], pids=pids)
            await asyncio.to_thread(sys.stdin.buffer.read)
    except StartupError as error:
        _say(told, refused=str(error))
        return 1
    return 0


def _say(told: int, **values: Any) -> None:
    os.write(told, orjson.dumps(values) + b"\n")


if __name__ == "__main__":
    told_ = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # what an exchange logs is written, but not kept
    sys.exit(run(_main(Path(sys.argv[1]), int(sys.argv[2]), told_)))
