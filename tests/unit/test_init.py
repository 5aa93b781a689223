"""A first configuration file from what is there; ``extproc check`` takes each."""

import contextlib
import json
import socketserver
import threading

import pytest

from extproc import found as found_
from extproc import init
from extproc.cli import main
from extproc.config.load import load
from extproc.found import Found, by_keys, servers
from extproc.providers.known import KNOWN
from extproc.runtime import compile_runtime

KEYS = {known.variable: "k" for known in KNOWN.values() if known.variable}
PLACES = {"AZURE_OPENAI_ENDPOINT": "https://my-res.openai.azure.com/", "AWS_DEFAULT_REGION": "eu-central-1"}


def listing(*names, owner="library"):
    rows = [{"id": name, "object": "model", "owned_by": owner} for name in names]
    return json.dumps({"object": "list", "data": rows}).encode()


def whole(body, status="200 OK"):
    return [f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n\r\n".encode() + body]


class Server:
    """Answers every connection with these pieces and closes it; never, where there are none."""

    def __init__(self, pieces):
        self.asked = asked = []

        class Answer(socketserver.StreamRequestHandler):
            def handle(self):
                asked.append(b"".join(iter(self.rfile.readline, b"\r\n")))  # all of it: a close would be a reset
                with contextlib.suppress(ConnectionError):  # whoever has read enough
                    for piece in pieces:
                        self.wfile.write(piece)
                    if not pieces:
                        self.rfile.read()  # until the client has had enough

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server():
    started = []

    def start(pieces):
        started.append(Server(pieces))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder on a machine where nothing is: no keys, and no servers but those of the test."""
    monkeypatch.chdir(tmp_path)
    for name in (*KEYS, *PLACES, "AWS_REGION", "EXTPROC_CONFIG", "PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(init, "servers", list)
    return tmp_path


# what is found


def test_keys_that_are_enough():
    assert [each.type for each in by_keys({"OPENAI_API_KEY": "k", "XAI_API_KEY": "", "GROQ_API_KEY": "unused"})] == [
        "openai"
    ]
    assert by_keys({"AZURE_OPENAI_API_KEY": "k", "AWS_BEARER_TOKEN_BEDROCK": "k"}) == []
    assert by_keys({"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_ENDPOINT": "https://proxy.example/x"}) == []
    assert by_keys({"AWS_BEARER_TOKEN_BEDROCK": "k", "AWS_REGION": "no region: at all"}) == []


def test_keys_with_their_places():
    found = {each.type: each.settings for each in by_keys(KEYS | PLACES)}
    assert found["azure"] == {"resource": "my-res"}
    assert found["bedrock"] == {"region": "eu-central-1"}
    assert set(found) == {name for name, known in KNOWN.items() if known.variable}


def test_servers_and_their_models(server):
    ollama = server(whole(listing("llama3.2:latest", "qwen3", 'x": {evil', "é")))
    vllm = server([bytes([each]) for each in whole(listing("org/model", owner="vllm"))[0]])
    found = servers({"ollama": ollama.url, "vllm": vllm.url})
    assert found == [
        Found("ollama", {"base_url": ollama.url}, ("llama3.2:latest", "qwen3")),
        Found("vllm", {"base_url": vllm.url}, ("org/model",)),
    ]
    assert ollama.asked[0].startswith(b"GET /v1/models HTTP/1.0\r\nHost: 127.0.0.1:")


@pytest.mark.parametrize(
    "pieces",
    [
        whole(listing("some", owner="somebody")),
        whole(b'{"object": "list", "data": [1]}'),
        whole(b'{"object": "list", "data": {}}'),
        whole(b'{"data": []}'),
        whole(b"[]"),
        whole(b"<html>"),
        whole(listing("org/model", owner="vllm"), "404 Not Found"),
        [b"SSH-2.0-whatever\r\n"],
        [b""],
    ],
)
def test_whatever_else_listens_is_not_vllm(server, pieces):
    assert servers({"vllm": server(pieces).url}) == []


def test_a_server_without_models(server):
    assert [each.models for each in servers({"ollama": server(whole(b'{"object":"list","data":null}')).url})] == [()]


def test_a_silent_server_is_not_waited_for(server, monkeypatch):
    monkeypatch.setattr(found_, "_WITHIN", 0.05)
    assert servers({"ollama": server([]).url}) == []


def test_a_server_that_never_ends_is_not_read_forever(server, monkeypatch):
    monkeypatch.setattr(found_, "_LARGEST", 1000)
    assert servers({"ollama": server([b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000]).url}) == []


# the file


FOUND = [
    [],
    [Found("ollama", {}, ("llama3.2:latest", "qwen3"))],
    [Found("ollama", {"base_url": "http://127.0.0.1:1/v1"}, ()), Found("vllm", {}, ("org/model", "qwen3"))],
    by_keys({"OPENAI_API_KEY": "k"}),
    by_keys({"ANTHROPIC_API_KEY": "k", "GEMINI_API_KEY": "k"}),
    [*by_keys(KEYS | PLACES), Found("ollama", {}, ("same", "gpt-oss")), Found("vllm", {}, ("same",))],
]


@pytest.mark.parametrize("found", FOUND, ids=lambda found: "+".join(each.type for each in found) or "nothing")
def test_every_file_is_good(tmp_path, found):
    path = tmp_path / "extproc.yaml"
    path.write_text(init.text(found))
    loaded = load(path, KEYS)
    compile_runtime(loaded)
    assert set(loaded.config.providers) == ({each.type for each in found} or {"openai", "anthropic", "gemini"})
    for each in found:
        assert {f"{each.type}/*", *each.models} <= set(loaded.config.models)
    assert ("*" in loaded.config.models) is (len(found) == 1)
    assert not loaded.config.gateway.model_fields_set, "free ports for `extproc run`"


def test_what_is_commented_out_is_good_too(tmp_path):
    lines = init.text(FOUND[4]).splitlines()
    known = ("#  house:", "#  london:", "#  codenames:", "#  injection:", "#  - {use", "#policies", "#gateway")
    shown = [line[1:] if line.startswith(known) else line for line in lines]
    assert sum(line.startswith(known) for line in lines) == len(known)
    path = tmp_path / "extproc.yaml"
    path.write_text("\n".join(shown).replace("file:/run/secrets/azure", "env:GEMINI_API_KEY"))
    compile_runtime(load(path, KEYS))


@pytest.mark.envoy
def test_init_and_check(folder, capsys, monkeypatch):
    (folder / ".env").write_text("MISTRAL_API_KEY=k\n")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert main(["init"]) == 0
    assert "wrote extproc.yaml: openai, mistral\n" in capsys.readouterr().out
    assert "sk-secret" not in (folder / "extproc.yaml").read_text()
    assert main(["check"]) == 0
    assert "model gpt-*: openai" in capsys.readouterr().out


def test_a_file_that_is_there_stays(folder, capsys):
    (folder / "mine.yaml").write_text("mine")
    assert main(["init", "mine.yaml"]) == 1
    assert capsys.readouterr().err == "error: mine.yaml is there already; --force overwrites it\n"
    assert (folder / "mine.yaml").read_text() == "mine"
    assert main(["init", "mine.yaml", "--force"]) == 0
    assert "bring their own keys" in (out := capsys.readouterr().out)
    assert "extproc check --config mine.yaml" in out
    assert load(folder / "mine.yaml", {}).config.providers


def test_a_dangling_link_is_not_followed(folder, capsys):
    (folder / "extproc.yaml").symlink_to(folder / "elsewhere")
    assert main(["init"]) == 1
    assert not (folder / "elsewhere").exists()


def test_a_folder_that_is_not_there(folder, capsys):
    assert main(["init", "nowhere/extproc.yaml"]) == 1
    assert "nowhere/extproc.yaml cannot be written: No such file" in capsys.readouterr().err
