"""The image alone, and the two services of docker-compose.yml, each in front of a fake model and asked over TLS.

The fake model runs in a container whose network the gateway shares, so neither a firewall nor a far engine matters.
``EXTPROC_TEST_DOCKER_BUILD`` has further arguments for ``docker build``.
"""

import http.client
import json
import os
import shlex
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "llm-extproc"
PROVIDER = {"type": "openai-compatible", "base_url": "http://127.0.0.1:9900/v1", "keys": "none"}
MODEL = """
import asyncio
from extproc.demo.model import FakeModel
async def main():
    model = FakeModel(pace=0, told=lambda text: print(text, flush=True))
    server = await asyncio.start_server(model._serve, "127.0.0.1", 9900)
    print("ready", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def docker(line: str, *more: str | Path, timeout: float = 60) -> str:
    """Run a Docker command: a line of words, then arguments that are taken as they are."""
    command = ["docker", *line.split(), *map(str, more)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    assert not done.returncode, f"{shlex.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout.strip() or done.stderr.strip()


def why_not() -> str:
    if not shutil.which("docker"):
        return "Docker is not installed"
    reasons = {"info": "no Docker engine is running", "compose version": "Docker Compose is not installed"}
    for command, reason in reasons.items():
        if subprocess.run(["docker", *command.split()], capture_output=True, timeout=30, check=False).returncode:
            return reason
    return ""


@pytest.fixture(scope="module")
def image() -> str:
    if reason := why_not():
        pytest.skip(reason)
    extra = os.environ.get("EXTPROC_TEST_DOCKER_BUILD", "")
    docker(f"build -q -t {IMAGE} {extra}", ROOT, timeout=600)
    return IMAGE


@pytest.fixture
def model(image: str) -> Iterator[tuple[str, int]]:
    """A container with the fake model, and the port on this machine that leads to 8443 in its network."""
    container = docker(f"run -d --no-healthcheck -p 127.0.0.1::8443 --entrypoint python {image} -c", MODEL)
    try:
        wait_for("no model", lambda: "ready" in docker("logs", container), str)
        yield container, int(docker(f"port {container} 8443/tcp").rpartition(":")[2])
    finally:
        docker(f"rm -fv {container}")


def asked(port: int, ca: Path) -> str:
    """The text of a streamed answer, over TLS that is checked."""
    context = ssl.create_default_context(cafile=ca)
    connection = http.client.HTTPSConnection("localhost", port, timeout=10, context=context)
    message = {"role": "user", "content": "I am john.smith@example.org."}
    body = json.dumps({"model": "any", "stream": True, "messages": [message]})
    connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
    response = connection.getresponse()
    assert response.status == 200, response.read()
    events = [json.loads(line[6:]) for line in response if line.startswith(b"data: {")]
    connection.close()
    return "".join(each["choices"][0]["delta"].get("content", "") for each in events if each["choices"])


def check(answer: str, model_said: str) -> None:
    """Redacted both ways. The model prints a line for each piece it sends."""
    start = "You said: “I am [email].” Of course. Please write to "
    assert answer.startswith(start + "[email], she")
    assert model_said.replace("\n", "").removeprefix("ready").startswith(start + "jane.doe@example.com, she")


def wait_for(what: str, ready, logs, within: float = 60) -> None:
    end = time.monotonic() + within
    while not ready():
        assert time.monotonic() < end, f"{what}\n{logs()}"
        time.sleep(0.3)


@pytest.mark.docker
@pytest.mark.timeout(900)
def test_the_image_alone_with_a_read_only_root(image: str, model: tuple[str, int], tmp_path: Path):
    upstream, port = model
    settings = [f"--env=EXTPROC_PROVIDERS__FAKE__{name.upper()}={value}" for name, value in PROVIDER.items()]
    hardened = "--read-only --cap-drop=ALL --security-opt=no-new-privileges"
    command = f"run -d --network=container:{upstream} --health-interval=1s {hardened}"
    gateway = docker(command, *settings, image)
    try:
        wait_for(
            "not healthy",
            lambda: docker("inspect -f {{.State.Health.Status}}", gateway) == "healthy",
            lambda: docker("logs", gateway),
        )
        docker(f"cp {gateway}:/var/lib/extproc/tls/ca.pem", tmp_path)
        check(asked(port, tmp_path / "ca.pem"), docker("logs", upstream))
        docker("stop -t 20", gateway)
        assert docker("inspect -f {{.State.ExitCode}}", gateway) == "0"
    finally:
        docker("rm -fv", gateway)


@pytest.mark.docker
@pytest.mark.timeout(900)
def test_compose_with_a_fresh_folder(image: str, tmp_path: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / ".env").write_text(f"PORT={port}\n")
    (tmp_path / "config").mkdir()
    (tmp_path / "config/extproc.yaml").write_text(json.dumps({"version": 1, "providers": {"fake": PROVIDER}}))
    fake = {"image": image, "network_mode": "service:envoy", "entrypoint": ["python", "-c", MODEL]}
    services = {"model": {**fake, "healthcheck": {"disable": True}}}
    (tmp_path / "model.yaml").write_text(json.dumps({"services": services}))
    files = f"-f {ROOT / 'docker-compose.yml'} -f {tmp_path / 'model.yaml'}"
    compose = f"compose --project-directory {tmp_path} -p extproc-test-{port} {files}"
    try:
        docker(f"{compose} up -d --no-build", timeout=300)
        ca = tmp_path / "certs/tls/ca.pem"
        model = f"{compose} logs --no-log-prefix model"
        wait_for("not up", lambda: _listens(port, ca) and "ready" in docker(model), lambda: docker(f"{compose} logs"))
        check(asked(port, ca), docker(model))
    finally:
        docker(f"{compose} down -v --timeout 5", timeout=120)
        docker(f"run --rm -u 0:0 --entrypoint rm -v {tmp_path}:/made {image} -rf /made/certs")


def _listens(port: int, ca: Path) -> bool:
    try:
        context = ssl.create_default_context(cafile=ca)
        connection = socket.create_connection(("localhost", port), 2)
        with connection, context.wrap_socket(connection, server_hostname="localhost"):
            return True
    except OSError:
        return False
