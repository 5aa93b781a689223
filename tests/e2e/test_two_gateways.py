"""Two gateways on one machine: never on one port, and in one state folder neither is in the other's way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from extproc.envoy import binary
from tests.e2e.authority import Authority
from tests.e2e.gateway import Running
from tests.e2e.harness import KEYS, config, free_port
from tests.e2e.upstream import Upstream

Up = subprocess.Popen[str]
EXTPROC = [sys.executable, "-m", "extproc"]


class Folder:
    """A folder with configurations, where ``extproc`` is run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._running: list[Up] = []
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("EXTPROC_", "OPENAI_")) and k != "PORT"}
        self.environment = {**clean, **KEYS, "EXTPROC_STATE": str(path / "state")}

    def start(self, *arguments: str) -> Up:
        process = subprocess.Popen(
            [*EXTPROC, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=self.environment, cwd=self.path,
        )  # fmt: skip
        self._running.append(process)
        return process

    def up(self, *arguments: str) -> tuple[Up, dict[str, str]]:
        process = self.start("up", *arguments)
        ready = heard(process)
        assert ready, process.communicate(timeout=60)
        return process, ready

    def run(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def stop(self) -> None:
        for each in self._running:
            if each.poll() is None:
                each.send_signal(signal.SIGTERM)
        for each in self._running:
            each.communicate(timeout=60)


def heard(process: Up, event: str = "ready") -> dict[str, str]:
    """The first line of the log about this; nothing if it ended before."""
    assert process.stdout
    for line in process.stdout:
        found: dict[str, str] = json.loads(line)
        if found["event"] == event:
            return found
    return {}


@pytest.fixture
def folder(upstreams: dict[str, Upstream], authority: Authority, tmp_path: Path) -> Iterator[Folder]:
    value = config(upstreams, authority.pem)
    for name in ("one.yaml", "two.yaml"):
        (tmp_path / name).write_text(yaml.safe_dump(value, sort_keys=False), "utf-8")
    made = Folder(tmp_path)
    yield made
    made.stop()


def test_a_second_on_the_same_port_is_refused(folder: Folder) -> None:
    _, ready = folder.up("--config", "one.yaml")
    port = ready["url"].split(":")[2].partition("/")[0]
    status, out, err = folder.run("up", "--config", "two.yaml", "--port", port)
    assert (status, out) == (1, "")
    assert err == f"error: gateway.port: port {port} of 127.0.0.1 is taken\n"
    assert httpx.get(ready["plain"] + "/models", trust_env=False).status_code == 200


def test_of_two_at_the_same_moment_one_is_refused(folder: Folder) -> None:
    port = str(free_port())
    both = [folder.start("up", "--config", name, "--port", port) for name in ("one.yaml", "two.yaml")]
    ready = [heard(each) for each in both]
    assert [bool(each) for each in ready].count(True) == 1, "both, or neither, are up"
    (loser,) = (each for each, said in zip(both, ready, strict=True) if not said)
    _, err = loser.communicate(timeout=60)
    assert loser.returncode == 1
    assert f"port {port} of 127.0.0.1 is taken" in err.splitlines()[-1]


def test_envoy_itself_shares_no_port(main: Running, tmp_path: Path) -> None:
    """The files of a running gateway, given to a second Envoy: it ends, where it would have taken half of the connections."""
    command = [str(binary.find()), "-c", str(main.run / "envoy.yaml"), "--use-dynamic-base-id", "-l", "error"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path)
    assert done.returncode == 1
    assert "Address already in use" in done.stderr


def test_each_is_found_by_its_configuration(folder: Folder) -> None:
    """One state folder, as it is by default: `env` and `reload` mean the one that is named, and never guess."""
    (first, one), (second, two) = (folder.up("--config", f"{name}.yaml") for name in ("one", "two"))
    for name, ready in (("one", one), ("two", two)):
        status, out, _ = folder.run("env", "--json", "--config", f"{name}.yaml")
        assert status == 0
        assert json.loads(out)["OPENAI_BASE_URL"] == ready["plain"]
    status, out, err = folder.run("env")
    assert (status, out) == (1, "")
    assert f"process {first.pid} at " in err
    assert f"process {second.pid} at " in err
    status, out, _ = folder.run("reload", "--config", "two.yaml")
    assert (status, out) == (0, f"told process {second.pid}; its log says what came of it\n")
    assert heard(second, "reload-unchanged")
    second.send_signal(signal.SIGTERM)
    second.communicate(timeout=60)
    status, out, _ = folder.run("env", "--json")
    assert status == 0
    assert json.loads(out)["OPENAI_BASE_URL"] == one["plain"]
    status, out, _ = folder.run("reload", "--pid", str(first.pid))
    assert status == 0
    assert heard(first, "reload-unchanged")


def test_in_a_shell_set_up_for_clients_no_key_is_made_up(folder: Folder) -> None:
    """``eval "$(extproc env)"`` and then ``extproc up`` without a file: there is no key, and nothing starts."""
    folder.up("--config", "one.yaml")
    (folder.path / "empty").mkdir()
    command = 'eval "$(extproc env)"; cd empty; test "$OPENAI_API_KEY" = unused && extproc up'.replace(
        "extproc ", f"{' '.join(EXTPROC)} "
    )
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, env=folder.environment, cwd=folder.path, timeout=120
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "OPENAI_API_KEY" in done.stderr
