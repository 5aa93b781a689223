"""The first hour with it: ``extproc run -- CMD`` around programs with real SDKs, and ``extproc env`` beside ``extproc up``."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.e2e.authority import Authority
from tests.e2e.faults import until
from tests.e2e.harness import KEYS, config
from tests.e2e.upstream import Upstream, completion, respond

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(240)]
EXTPROC = [sys.executable, "-m", "extproc"]

OPENAI = """
import os, sys, openai
print(os.environ["OPENAI_BASE_URL"])
answer = openai.OpenAI(max_retries=0).chat.completions.create(
    model="gpt-4o", messages=[{"role": "user", "content": "I am a@example.com"}], extra_headers={"x-request-id": sys.argv[1]})
print(answer.choices[0].message.content)
print(sorted(name for name, value in os.environ.items() if "MARKERKEY" in value))
sys.exit(7)
"""

OTHERS = """
import anthropic, boto3
from google import genai
asked = "I am a@example.com"
message = anthropic.Anthropic(max_retries=0).messages.create(
    model="gpt-4o", max_tokens=9, messages=[{"role": "user", "content": asked}])
print(message.content[0].text)
client = genai.Client()
print(client.models.generate_content(model="gpt-4o", contents=asked).text)
bedrock = boto3.client("bedrock-runtime", region_name="us-east-1")
said = bedrock.converse(modelId="gpt-4o", messages=[{"role": "user", "content": [{"text": asked}]}])
print(said["output"]["message"]["content"][0]["text"])
"""

WAITING = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
print("waiting", flush=True)
while True:
    signal.pause()
"""


@dataclass
class Desk:
    """A folder with a configuration, and an environment by which processes that were left behind are found."""

    folder: Path
    environment: dict[str, str]
    mark: str

    def configure(self, **changes: Any) -> None:
        path = self.folder / "extproc.yaml"
        value = yaml.safe_load(path.read_text("utf-8"))
        for name, change in changes.items():
            value[name] = {**value.get(name, {}), **change}
        path.write_text(yaml.safe_dump(value), "utf-8")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*EXTPROC, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=self.environment, cwd=self.folder, start_new_session=True,
        )  # fmt: skip

    def run(self, *arguments: str) -> tuple[int, str, str]:
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def left(self) -> list[str]:
        """Processes that have inherited our environment and still run (Linux; elsewhere nothing is seen)."""
        found = []
        for each in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (each / "environ").read_bytes():
                    found.append((each / "cmdline").read_bytes().decode())
            except OSError:  # it has ended, or is not ours
                continue
        return found


def _clean(environment: dict[str, str]) -> dict[str, str]:
    """Without what the tests' own machine may have set."""
    marks = ("EXTPROC_", "OPENAI_", "ANTHROPIC_", "GOOGLE_", "GEMINI_", "AWS_")
    names = ("PORT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
    return {
        name: value
        for name, value in environment.items()
        if name not in names and not name.startswith(marks) and not name.lower().endswith("_proxy")
    }


@pytest.fixture
def desk(upstreams: dict[str, Upstream], authority: Authority, tmp_path: Path) -> Desk:
    value = config(upstreams, authority.pem, gateway={"drain": "1s", "upstream_ca": str(authority.pem)})
    del value["health"], value["providers"]["mine"], value["models"]["mine"]
    (tmp_path / "extproc.yaml").write_text(yaml.safe_dump(value, sort_keys=False), "utf-8")
    mark = uuid.uuid4().hex
    environment = {
        **_clean(dict(os.environ)), **KEYS, "EXTPROC_STATE": str(tmp_path / "state"), "MARK": mark,
        "OPENAI_API_KEY": "sk-MARKERKEY-own", "http_proxy": "http://127.0.0.1:1", "PORT": "1",
        "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path),
    }  # fmt: skip
    return Desk(tmp_path, environment, mark)


@pytest.fixture
def answering(upstreams: dict[str, Upstream]) -> str:
    """The id of a request that is answered with an address."""
    found = f"first-{uuid.uuid4().hex}"
    upstreams["a"].on(found, respond(200, completion("Write to b@example.com.")))
    return found


def refused(url: str) -> bool:
    place = urlsplit(url)
    try:
        socket.create_connection((place.hostname, place.port), 5).close()
    except OSError:
        return True
    return False


def redacted(out: str) -> str:
    """The URL that the program was given, if its answer was redacted and it had no key."""
    url, answer, keys = out.splitlines()
    assert (answer, keys) == ("Write to [email].", "[]")
    return url


def test_a_program_and_its_gateway(desk: Desk, upstreams: dict[str, Upstream], answering: str) -> None:
    status, out, err = desk.run("run", "--", sys.executable, "-c", OPENAI, answering)
    assert (status, err) == (7, "")
    url = redacted(out)
    assert url.startswith("http://127.0.0.1:")
    (received,) = upstreams["a"].of(answering)
    assert b"I am [email]" in received.body
    assert received.header("authorization") == f"Bearer {KEYS['KEY_A']}"
    until(lambda: not desk.left(), "nothing is left running")
    assert refused(url)
    assert not list((desk.folder / "state").glob("gateways/*.json"))


def test_two_at_once(desk: Desk, upstreams: dict[str, Upstream], answering: str) -> None:
    """Each has a gateway of its own, and none is in the other's way."""
    with (
        desk.start("run", "--", sys.executable, "-c", WAITING) as waiting,
        desk.start("run", "--", sys.executable, "-c", OPENAI, answering) as asking,
    ):
        assert waiting.stdout
        assert waiting.stdout.readline() == "waiting\n"
        out, _ = asking.communicate(timeout=120)
        assert asking.returncode == 7
        redacted(out)
        waiting.send_signal(signal.SIGTERM)
        out, err = waiting.communicate(timeout=60)
        assert (waiting.returncode, out, err) == (5, "", "")
    until(lambda: not desk.left(), "nothing is left running")


def test_over_tls_the_authority_comes_along(desk: Desk, answering: str) -> None:
    desk.configure(gateway={"port": 0, "plain_port": None})
    status, out, err = desk.run(
        "run", "--config", "extproc.yaml", "--log", "log.jsonl", "--", sys.executable, "-c", OPENAI, answering
    )
    assert (status, err) == (7, "")
    assert redacted(out).startswith("https://localhost:")
    lines = [json.loads(line) for line in (desk.folder / "log.jsonl").read_text("utf-8").splitlines()]
    assert "ready" in [each["event"] for each in lines]
    assert [each["request_id"] for each in lines if each["event"] == "exchange"] in ([answering], [])  # it may be cut


def test_other_sdks_need_no_more_than_the_environment(desk: Desk) -> None:
    status, out, err = desk.run("run", "--", sys.executable, "-W", "ignore", "-c", OTHERS)
    assert (status, out) == (0, "Hello.\nHello.\nHello.\n"), err


def test_what_cannot_start_runs_nothing(desk: Desk) -> None:
    script = desk.folder / "envoy"
    script.write_text("#!/bin/sh\necho broken on purpose >&2\nexit 3\n", "utf-8")
    script.chmod(0o755)
    status, out, err = desk.run("run", "--envoy", str(script), "--", sys.executable, "-c", "print('ran')")
    assert (status, out) == (1, "")
    assert "broken on purpose\n" in err
    assert err.splitlines()[-1].startswith("error: Envoy ")
    until(lambda: not desk.left(), "nothing is left running")


@pytest.fixture
def up(desk: Desk) -> Iterator[dict[str, str]]:
    desk.configure(gateway={"port": 0, "plain_port": 0}, health={"port": 0})
    del desk.environment["PORT"]
    with desk.start("up") as process:
        try:
            assert process.stdout
            ready = json.loads(process.stdout.readline())
            assert ready["event"] == "ready"
            yield ready
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)


def test_env_tells_of_the_running_gateway(desk: Desk, up: dict[str, str], answering: str) -> None:
    status, out, _ = desk.run("env", "--json", "--config", "extproc.yaml")
    assert status == 0
    assert json.loads(out)["OPENAI_BASE_URL"] == up["plain"]
    lines = f'eval "$({" ".join(EXTPROC)} env)" && exec "$@"'
    unkeyed = {name: value for name, value in desk.environment.items() if "MARKERKEY" not in value}
    done = subprocess.run(
        ["sh", "-c", lines, "sh", sys.executable, "-c", OPENAI, answering],
        capture_output=True, text=True, env=unkeyed, cwd=desk.folder, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (7, "")
    assert redacted(done.stdout) == up["plain"]
    (desk.folder / "other.yaml").write_text("version: 1\n", "utf-8")
    status, _, err = desk.run("env", "--config", "other.yaml")
    assert status == 1
    assert "extproc.yaml, not " in err


def test_env_without_a_gateway(desk: Desk) -> None:
    status, out, err = desk.run("env")
    assert (status, out) == (1, "")
    assert "no gateway of this state folder is running" in err
