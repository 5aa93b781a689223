"""A gateway in a process of its own, as ``extproc up`` runs it, with everything it writes kept.

Run as a script it is that process: ``python gateway.py CONFIG FOLDER``. Its standard output are the log's JSON lines,
the first of them saying which ports were taken. EXTPROC_TEST_ENVOY names another Envoy than the one installed.
"""

from __future__ import annotations

import asyncio
import copy
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from extproc.envoy import binary

Chain = tuple[Sequence[dict[str, Any]], Sequence[dict[str, Any]]]
"""Filters before ours, and between ours and Envoy's router."""


class Running:
    """A gateway. ``port(tls=...)``, ``ca``, and what it logged.

    ``filters`` of Envoy's go before ours, as in a mesh. ``chains`` are listeners like the plain one, by name, each with
    filters of its own before and after ours; ``clusters`` are what these need. ``envoy``: the binary.
    """

    def __init__(
        self, config: dict[str, Any], folder: Path, environment: dict[str, str], filters: Sequence[dict[str, Any]] = (),
        *, chains: Mapping[str, Chain] | None = None, clusters: Sequence[dict[str, Any]] = (), envoy: Path | None = None,
    ) -> None:  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        listeners = {name: [list(before), list(after)] for name, (before, after) in (chains or {}).items()}
        named = str(envoy) if envoy else os.environ.get("EXTPROC_TEST_ENVOY")
        extra = {"filters": list(filters), "chains": listeners, "clusters": list(clusters), "envoy": named}
        (folder / "extra.json").write_text(json.dumps(extra), "utf-8")
        self.folder = folder
        self.envoy = binary.find(named)
        path = folder / "extproc.yaml"
        path.write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith("EXTPROC_") and name != "PORT"
        }
        with (folder / "stderr.txt").open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(path), str(folder)],
                stdout=subprocess.PIPE, stderr=stderr, stdin=subprocess.DEVNULL, env={**clean, **environment},
            )  # fmt: skip
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        try:
            ready = self.wait_for(lambda each: each["event"] == "ready", 120)  # no promise, only an end
        except AssertionError:
            self.stop()  # nobody else knows of it
            raise
        self.ports: dict[str, int] = ready["ports"]
        self.ca: str = ready["ca"]
        self.admin: str = ready["admin"]
        self.run = Path(ready["run"])
        self.health: int = ready["health"]
        self.pid = self._process.pid

    def port(self, *, tls: bool) -> int:
        return self.ports["main" if tls else "plain"]

    def url(self, *, tls: bool) -> str:
        return f"https://localhost:{self.ports['main']}" if tls else f"http://127.0.0.1:{self.ports['plain']}"

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in list(self._lines)]

    def wait_for(self, wanted: Any, timeout: float = 10) -> dict[str, Any]:
        """The first log line that fits."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for line in self.lines():
                if wanted(line):
                    return line
            if self._process.poll() is not None and not self._thread.is_alive():
                break
            time.sleep(0.01)
        raise AssertionError(f"no such line in the log; standard error: {self.errors()[-3000:]}")

    def exchange(self, request_id: str) -> dict[str, Any]:
        """The log's line for an exchange."""
        return self.wait_for(lambda each: each["event"] == "exchange" and each["request_id"] == request_id)

    def access(self, request_id: str) -> dict[str, Any]:
        """Envoy's access log line for an exchange; Envoy writes it within about a second."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for line in (self.folder / "access.txt").read_text("utf-8").splitlines():
                if request_id in line and (found := json.loads(line))["request_id"] == request_id:
                    return found
            time.sleep(0.02)
        raise AssertionError("no such line in the access log")

    def stat(self, name: str) -> int:
        """One of Envoy's own counters or gauges."""
        admin = (self.run / "admin.txt").read_text("utf-8").strip()  # another one when Envoy was started again
        with urllib.request.urlopen(f"http://{admin}/stats?format=json&filter=^{name}$", timeout=5) as answer:
            found = [each for each in json.load(answer)["stats"] if each.get("name") == name]
        return int(found[0]["value"]) if found else 0

    def errors(self) -> str:
        """Standard error: Envoy's warnings, Python's tracebacks."""
        return (self.folder / "stderr.txt").read_text("utf-8", "replace")

    def everything(self) -> str:
        """All that was ever written."""
        return "\n".join(self._lines) + self.errors() + (self.folder / "access.txt").read_text("utf-8", "replace")

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def stop(self) -> int:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait(5)
        self._thread.join(5)
        if self._process.stdout:
            self._process.stdout.close()
        return status

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.append(line.decode())


def _put_before(filters: list[dict[str, Any]]) -> None:
    from extproc.envoy import bootstrap

    manager = bootstrap._manager

    def with_filters(*arguments: Any) -> dict[str, Any]:
        found = manager(*arguments)
        found["http_filters"] = [*filters, *found["http_filters"]]
        return found

    bootstrap._manager = with_filters


def _add(chains: dict[str, list[list[dict[str, Any]]]], clusters: list[dict[str, Any]]) -> None:
    from extproc.envoy import bootstrap

    made = bootstrap.bootstrap

    def with_chains(*arguments: Any) -> dict[str, Any]:
        found = made(*arguments)
        resources = found["static_resources"]
        (plain,) = (each for each in resources["listeners"] if each["name"] == "plain")
        for name, (before, after) in chains.items():
            listener = copy.deepcopy(plain)
            manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
            *ours, router = manager["http_filters"]
            manager["http_filters"] = [*before, *ours, *after, router]
            manager["stat_prefix"] = listener["name"] = name
            resources["listeners"].append(listener)
        resources["clusters"] += clusters
        return found

    bootstrap.bootstrap = with_chains


async def _main(config: Path, folder: Path) -> None:
    from extproc.commands import Signals, until_stopped
    from extproc.config.load import load
    from extproc.gateway import Options
    from extproc.runtime import compile_runtime
    from extproc.supervisor import running
    from extproc.telemetry import Log

    extra = json.loads((folder / "extra.json").read_text("utf-8"))
    _put_before(extra["filters"])
    if extra["chains"]:
        _add(extra["chains"], extra["clusters"])
    runtime = compile_runtime(load(config))
    log = Log("json")
    signals = Signals()
    with (folder / "access.txt").open("wb") as access:
        options = Options(folder / "state", extra["envoy"], access)
        async with running(runtime, log, options, lambda: load(config)) as (gateway, ports):
            ready = {
                "event": "ready", "ports": ports.listeners, "ca": str(ports.ca or ""), "health": ports.health,
                "run": str(gateway.layout.run),
                "admin": gateway.layout.admin.read_text("utf-8").strip(),
            }  # fmt: skip
            print(json.dumps(ready), flush=True)
            await until_stopped(signals, gateway, log)


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(Path(sys.argv[1]), Path(sys.argv[2])))
