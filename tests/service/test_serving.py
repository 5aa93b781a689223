"""``extproc serve``: the processor alone, with probes, and a configuration that may change."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

CONFIG = """
health: {port: 0}
processor: {bind: "unix:w{n}.sock"}
policies: {pii: {kind: pii, find: [email]}}
"""
LONGEST = 60.0


class Serving:
    """A processor in a process of its own, and what it has logged."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "extproc.yaml"
        self.file.write_text(CONFIG, "utf-8")
        self.log = folder / "log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("EXTPROC_")}
        command = [sys.executable, "-m", "extproc.cli", "serve", "-c", str(self.file), "--run", str(folder / "run")]
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [*command, "--state", str(folder / "state")], stdout=out, stderr=out, env=environment
            )
        self.ready = self.until(lambda: self.events("ready"))[0]

    def events(self, name: str) -> list[dict[str, object]]:
        lines = [line for line in self.log.read_bytes().splitlines(keepends=True) if line.startswith(b"{")]
        found = [orjson.loads(line) for line in lines if line.endswith(b"\n")]
        return [each for each in found if each["event"] == name]

    def until(self, found: Callable[[], list[dict[str, object]]]) -> list[dict[str, object]]:
        deadline = time.monotonic() + LONGEST
        while not (value := found()):
            assert time.monotonic() < deadline, self.log.read_text()
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        return value

    def get(self, path: str, data: bytes | None = None) -> tuple[int, bytes]:
        root = str(self.ready["health"]).removesuffix("/health/readiness")
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{root}{path}", data), timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    (tmp_path / "run").mkdir()
    made = Serving(tmp_path)
    yield made
    made.process.kill()
    made.process.wait()


def test_it_is_ready_and_counts_until_it_is_drained(serving: Serving) -> None:
    assert serving.get("/health/readiness")[0] == 200
    status, text = serving.get("/metrics")
    assert status == 200
    assert b"extproc_workers 1.0" in text
    assert serving.get("/health/drain", b"")[0] == 200
    assert serving.get("/health/readiness")[0] == 503
    assert serving.get("/health/liveness")[0] == 200
    serving.process.send_signal(signal.SIGTERM)
    assert serving.process.wait(LONGEST) == 0


def test_a_changed_file_is_in_force_and_a_bad_one_is_not(serving: Serving) -> None:
    serving.file.write_text(CONFIG.replace("email", "iban"), "utf-8")
    (reloaded,) = serving.until(lambda: serving.events("reloaded"))
    assert reloaded["generation"] == 2
    serving.file.write_text(CONFIG.replace("email", "nothing of the kind"), "utf-8")
    serving.until(lambda: serving.events("reload-refused"))
    assert b"extproc_generation 2.0" in serving.get("/metrics")[1]
    assert b'extproc_reloads_total{result="refused"}' in serving.get("/metrics")[1]


def test_workers_can_be_replaced(serving: Serving) -> None:
    serving.process.send_signal(signal.SIGUSR1)
    serving.until(lambda: serving.events("restarted"))
    assert serving.get("/health/readiness")[0] == 200
