"""A processor alone and an Envoy that others configure, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from extproc.envoy import binary
from tests.e2e.harness import eventually

_QUIET = {name: value for name, value in os.environ.items() if not name.startswith("EXTPROC_") and name != "PORT"}


class _Process:
    def __init__(self, command: list[str], folder: Path, environment: dict[str, str] | None = None) -> None:
        self.errors = folder / "stderr.txt"
        with self.errors.open("wb") as stderr:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=stderr, stdin=subprocess.DEVNULL, cwd=folder,
                env={**_QUIET, **(environment or {})},
            )  # fmt: skip
        self._out: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._out.append(line.decode("utf-8", "replace"))

    @property
    def living(self) -> bool:
        return self._process.poll() is None

    def why(self) -> str:
        return "".join(self._out[-20:]) + self.errors.read_text("utf-8", "replace")[-3000:]

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)
        self._close()

    def _close(self) -> None:
        self._reader.join(5)
        assert self._process.stdout
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._close()


class Processor(_Process):
    """``extproc serve``, ready."""

    def __init__(self, folder: Path, config: dict[str, Any], environment: dict[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "extproc.yaml").write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
        command = [sys.executable, "-m", "extproc", "serve", "-c", "extproc.yaml", "--run", "run", "--state", "state"]
        super().__init__(command, folder, {"EXTPROC_GATEWAY__TLS": "none", **(environment or {})})
        try:
            self.ready = eventually(self._ready, 30)
        except AssertionError:
            self.kill()
            raise AssertionError(f"the processor is not ready: {self.why()}") from None

    def lines(self) -> list[dict[str, Any]]:
        """Its log."""
        return [json.loads(line) for line in list(self._out)]

    def _ready(self) -> dict[str, Any] | None:
        assert self.living, self.why()
        return next((line for line in self.lines() if line["event"] == "ready"), None)

    def exchange(self, request_id: str) -> dict[str, Any]:
        """Its line about an exchange."""
        found: dict[str, Any] = eventually(
            lambda: next((line for line in self.lines() if line.get("request_id") == request_id), None), 10
        )
        return found


class Proxy(_Process):
    """The real Envoy on a bootstrap, ready."""

    def __init__(self, folder: Path, bootstrap: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "envoy.yaml").write_text(yaml.safe_dump(bootstrap, sort_keys=False), "utf-8")
        command = [str(binary.find()), "-c", "envoy.yaml", "-l", "error", "--disable-hot-restart", "--concurrency", "1"]
        super().__init__(command, folder)
        self.admin = bootstrap["admin"]["address"]["socket_address"]["port_value"]
        try:
            eventually(self._ready, 30)
        except AssertionError:
            self.kill()
            raise AssertionError(f"Envoy is not ready: {self.why()}") from None

    def _ready(self) -> bool:
        assert self.living, self.why()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def stat(self, name: str) -> int:
        """One of Envoy's counters or gauges."""
        url = f"http://127.0.0.1:{self.admin}/stats?format=json&filter={name}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            found = [each for each in json.load(answer)["stats"] if "name" in each]
        return sum(int(each["value"]) for each in found)

    def until(self, name: str, least: int = 1) -> None:
        """Wait until a counter or gauge is so large."""
        deadline = time.monotonic() + 20
        while self.stat(name) < least:
            assert time.monotonic() < deadline, f"{name} stays below {least}: {self.why()}"
            time.sleep(0.02)
