"""``extproc up`` as people start it: a process, its log on standard output, ended by a signal."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
import yaml

from tests.e2e.authority import Authority
from tests.e2e.harness import KEYS, Start, config
from tests.e2e.upstream import Gate, Upstream, chunked, event

Up = subprocess.Popen[str]


@pytest.fixture
def up(upstreams: dict[str, Upstream], authority: Authority, tmp_path: Path) -> Iterator[tuple[Up, dict[str, str]]]:
    path = tmp_path / "extproc.yaml"
    path.write_text(yaml.safe_dump(config(upstreams, authority.pem)), "utf-8")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EXTPROC_") and name != "PORT"}
    with subprocess.Popen(
        [sys.executable, "-m", "extproc", "up", "--config", str(path), "--state", str(tmp_path / "state")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**clean, **KEYS}, cwd=tmp_path,
    ) as process:  # fmt: skip
        assert process.stdout
        line = process.stdout.readline()
        try:
            ready = json.loads(line)
            assert ready["event"] == "ready"
            yield process, ready
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_up(up: tuple[Up, dict[str, str]], number: signal.Signals) -> None:
    process, ready = up
    with openai.DefaultHttpxClient(verify=ssl.create_default_context(cafile=ready["ca"]), trust_env=False) as transport:
        client = openai.OpenAI(base_url=ready["url"], api_key="unused", max_retries=0, http_client=transport)
        answer = client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "I am a@example.com"}]
        )
        assert answer.choices[0].message.content == "Hello."
    assert httpx.get(ready["plain"] + "/models", trust_env=False).status_code == 200
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    lines = [json.loads(line) for line in out.splitlines()]
    exchanges = [each for each in lines if each["event"] == "exchange"]  # told when Envoy says it is over: at any time
    assert [each["event"] for each in lines if each not in exchanges] == ["stopping", "draining"]
    assert sorted([each["policy"] for each in line["verdicts"]] for line in exchanges) == [[], ["emails"]]
    assert "example.com" not in out + err
    assert not any(key in out + err for key in KEYS.values())
    assert "Traceback" not in err


def test_a_certificate_is_kept(up: tuple[Up, dict[str, str]]) -> None:
    _, ready = up
    folder = Path(ready["ca"]).parent
    assert {each.name for each in folder.iterdir()} >= {"ca.pem", "server.pem", "server.key"}
    assert all(each.stat().st_mode & 0o077 == 0 for each in folder.glob("*.key"))


def test_ctrl_c_reaches_the_supervisor_alone(
    upstreams: dict[str, Upstream], authority: Authority, tmp_path: Path
) -> None:
    """A terminal sends it to the whole process group; running answers still end first."""
    path = tmp_path / "extproc.yaml"
    path.write_text(yaml.safe_dump(config(upstreams, authority.pem, gateway={"drain": "20s"})), "utf-8")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EXTPROC_") and name != "PORT"}
    gate = Gate()
    upstreams["a"].on("ctrl-c", chunked(200, [event({"content": "Hello, you "}), gate, event({"content": "again."})]))
    with subprocess.Popen(
        [sys.executable, "-m", "extproc", "up", "--config", str(path), "--state", str(tmp_path / "state")],
        stdout=subprocess.PIPE, text=True, env={**clean, **KEYS}, cwd=tmp_path, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        body = {"model": "gpt-4o", "stream": True, "messages": []}
        headers = {"x-request-id": "ctrl-c"}
        url = ready["plain"] + "/chat/completions"
        with (
            httpx.Client(trust_env=False, timeout=20) as client,
            client.stream("POST", url, json=body, headers=headers) as answer,
        ):
            assert gate.reached.wait(10)
            os.killpg(process.pid, signal.SIGINT)
            gate.open()
            assert b"again." in answer.read()
        assert process.wait(20) == 0


def test_a_prompt_that_takes_seconds_to_inspect_costs_no_worker(start: Start, upstreams: dict[str, Upstream]) -> None:
    """Eight megabytes of German: the loop goes on meanwhile, so the watchdog stays quiet, and so does every other client."""
    gateway = start("large", gateway={"max_body": "16MiB"}, policies={"pii": {"kind": "pii"}})
    text = "Größe und Höhe: 12 Uhr. " * 300_000
    with httpx.Client(trust_env=False, timeout=60, base_url=gateway.url(tls=False)) as client:
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
        assert client.post("/v1/chat/completions", json=body).status_code == 200
    assert not [line for line in gateway.lines() if line["event"] == "worker-ended"]
