"""What the tests with faults share: how many, how to wait for a condition, what a gateway says of itself.

Sizes: EXTPROC_TEST_FAULTS faults of each kind (10; `make faults` has 200), EXTPROC_TEST_SOAK seconds of mixed traffic
(60; 1800), EXTPROC_TEST_LARGE for answers of 200 MB. No test here may depend on how fast the machine is:
wait for a condition, and bound a time only where a promise names it.
"""

from __future__ import annotations

import os
import random
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.e2e.gateway import Running
from tests.e2e.traffic import workers

FAULTS = int(os.environ.get("EXTPROC_TEST_FAULTS", "10"))
NATIVE = os.environ.get("EXTPROC_TEST_TRANSPORT", "auto") != "grpcio"
"""The other transport keeps no worker in reserve, and cannot hand over a socket: after a death requests fail for a while."""
PATIENCE = 60.0
"""Seconds until a condition that must come true is given up: no promise, only an end."""
MIB = 1 << 20


def until(condition: Callable[[], object], what: str = "the condition", timeout: float = PATIENCE) -> None:
    """Wait until it holds. A gateway that cannot be asked at the moment counts as no."""
    deadline = time.monotonic() + timeout
    while True:
        with suppress(OSError):
            if condition():
                return
        assert time.monotonic() < deadline, f"not within {timeout:.0f} seconds: {what}"
        time.sleep(0.02)


def metrics(gateway: Running) -> dict[str, float]:
    """Every sample by name and labels, as written."""
    with urllib.request.urlopen(f"http://127.0.0.1:{gateway.health}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    pairs = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: float(value) for name, _, value in pairs}


def metric(gateway: Running, name: str) -> float:
    """The sum over all labels, or one sample where the name has labels."""
    return sum(value for each, value in metrics(gateway).items() if name in (each, each.partition("{")[0]))


def probe(gateway: Running, path: str, method: str = "GET") -> int:
    asked = urllib.request.Request(f"http://127.0.0.1:{gateway.health}{path}", method=method)
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def settled(gateway: Running, count: int = 3) -> None:
    """All workers and any in reserve serve, Envoy finds all of them healthy, and the gateway says that it is ready."""

    def up() -> bool:
        found = metrics(gateway)
        return (
            len(workers(gateway)) == count + NATIVE
            and found["extproc_workers"] == count
            and found["extproc_workers_alive"] == count + NATIVE
            and probe(gateway, "/health/readiness") == 200
            and gateway.stat("cluster.extproc.membership_healthy") == count
        )

    until(up, f"{count} workers and one in reserve are up, and Envoy knows")


def gone(pid: int) -> bool:
    """Whether a process has ended and was waited for. A zombie is not enough: its other threads may still hold sockets."""
    return not Path(f"/proc/{pid}").exists()


def harm(gateway: Running, how: signal.Signals, count: int = 1) -> None:
    """Send workers a signal; returns when they have ended and others serve in their place."""
    chosen = random.sample(workers(gateway), count)
    for pid in chosen:
        os.kill(pid, how)
    until(lambda: all(map(gone, chosen)), "what was harmed has ended")


@contextmanager
def unchanged(path: Path) -> Iterator[None]:
    """A file that is as it was afterwards."""
    before = path.read_bytes()
    try:
        yield
    finally:
        path.write_bytes(before)


def rss(pid: int) -> int:
    """Resident bytes; 0 where it is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


def descriptors(pid: int) -> int:
    """Open files; 0 where it is gone."""
    with suppress(OSError):
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return 0
