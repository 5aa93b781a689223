"""Real exchanges, recorded by others, replayed: what no rule touches is the provider's, byte for byte."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.e2e.harness import Case
from tests.e2e.upstream import chunked, respond

pytestmark = pytest.mark.data
_OWN_FRAMING = {"content-length", "transfer-encoding", "content-encoding", "connection", "date"}


def _replay(case: Case, response: dict[str, Any], cut: int = 0) -> bytes:
    body = str(response["body"]).encode()
    headers = [
        (name, value) for name, values in response["headers"].items() if name not in _OWN_FRAMING for value in values
    ]
    if cut:
        parts = [body[at : at + cut] for at in range(0, len(body), cut)]
        case.on(chunked(response["status"], parts, headers))
    else:
        case.on(respond(response["status"], body, headers))
    return body


def _as_asked(body: bytes, sent: bytes) -> bytes:
    """What a provider got, without the usage that the gateway asks for where a client does not."""
    asked = json.loads(sent)
    if asked.get("stream") is True and "stream_options" not in asked:
        assert json.loads(body) == {**asked, "stream_options": {"include_usage": True}}
        return body.replace(b',"stream_options":{"include_usage":true}', b"")
    return body


@pytest.mark.parametrize("cut", [0, 13, 400])
def test_replayed(plain_case: Case, recordings: list[dict[str, Any]], cut: int) -> None:
    assert recordings
    for each in recordings:
        sent = each["request"]["body"].encode()
        case = Case(plain_case.gateway, plain_case.upstreams, tls=False)
        wanted = _replay(case, each["response"], cut)
        model = json.loads(sent).get("model")
        path = "/v1/chat/completions"
        if model is None or not model.startswith("gpt-"):
            path = "/openai/deployments/gpt-recorded/chat/completions"
        answer = case.post(path=path, content=sent)
        case.close()
        assert answer.status_code == each["response"]["status"], each["file"]
        assert answer.content == wanted, each["file"]
        assert case.log()["outcome"] == "allow", each["file"]
        received = case.one()
        if path == "/v1/chat/completions":
            assert _as_asked(received.body, sent) == sent, each["file"]
        usage = [line for line in wanted.replace(b"data: ", b"").splitlines() if b'"usage"' in line]
        if usage and b'"usage":null' not in wanted.replace(b" ", b""):
            assert case.log()["tokens"], each["file"]


def test_the_sdk_reads_all_of_them(tls_case: Case, recordings: list[dict[str, Any]]) -> None:
    for each in recordings:
        case = Case(tls_case.gateway, tls_case.upstreams, tls=True)
        _replay(case, each["response"])
        stream = b"data:" in each["response"]["body"].encode()[:10]
        try:
            if each["response"]["status"] >= 400:
                with pytest.raises(openai.APIStatusError) as raised:
                    case.chat(stream=stream)
                assert raised.value.status_code == each["response"]["status"]
            elif stream:
                assert list(case.chat(stream=True)), each["file"]
            else:
                whole = case.chat()
                assert whole.choices, each["file"]
                assert whole.id == json.loads(each["response"]["body"])["id"]
        finally:
            case.close()
