"""Every SDK, every provider, every scene, whole and streamed, through one Envoy: right words, nothing told too much.

``python -m tests.e2e.sdk_table`` prints what was asked and how it went, as a table.
"""

from __future__ import annotations

import json

import pytest

from tests.e2e.matrix import BACKENDS, Matrix, public
from tests.e2e.scenes import CACHED, INPUT, MAIL, OTHER_MAIL, OUTPUT, PLAIN, RESULT_MAIL, SCENES
from tests.e2e.sdk import CLIENTS, Said


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("scene", PLAIN)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("client", CLIENTS)
def test_scene(matrix: Matrix, client: str, backend: str, scene: str, stream: bool) -> None:
    said = matrix.clients[client].ask(public(client, backend), scene, stream)
    right(matrix, said, client, backend, scene, stream)


def right(matrix: Matrix, said: Said, client: str, backend: str, scene: str, stream: bool) -> None:
    """See that an answer is what the scene says, redacted; and that the provider was told nothing it must not know."""
    wanted = SCENES[scene]
    assert said.text == redacted(wanted.text)
    calls = [(each.name, json.loads(redacted(each.arguments))) for each in wanted.calls]
    assert said.calls == calls
    assert said.finish == ("tool_calls" if calls else "stop")
    assert (said.input, said.output, said.cached) == (INPUT, OUTPUT, CACHED)
    thinks = BACKENDS[backend].thinks
    told = thinks == "yes" or (thinks == "responses" and client == "openai responses")
    assert said.thought == (redacted(wanted.thought) if told else "")
    if scene == "structured":
        assert said.parsed
        assert said.parsed.to == "[email]"
    if scene == "long" and stream:
        assert said.pieces > 50, "it came in too few pieces to be a stream"
    received = matrix.received(backend)
    assert len(received) == (2 if scene == "result" else 1)
    for each in received:
        assert OTHER_MAIL.encode() not in each.body
        assert RESULT_MAIL.encode() not in each.body
        assert b"[email]" in each.body
        assert (b"required" in each.body) == (scene in ("tool", "tools", "result", "structured"))


def redacted(text: str) -> str:
    return text.replace(MAIL, "[email]")
