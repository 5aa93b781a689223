"""Credentials that are fetched or signed with, from the configuration to the provider."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from extproc.providers.sigv4 import sign
from tests.e2e.gateway import Running
from tests.e2e.upstream import Behaviour, respond
from tests.unit.providers.identity import Identity, granted, says
from tests.unit.providers.test_google import account

SECRET = "MARKERSECRET0123456789"
KEYS = ("AKIDMARKER", "SIGNINGSECRET0123456789", "SESSIONTOKEN0123456789")
FETCHED = "FETCHEDTOKEN0123456789"
CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
CONVERSED = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hello."}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
    "metrics": {"latencyMs": 1},
}


class Setting:
    """A gateway, an identity service and a provider."""

    def __init__(self, folder: Path, identity: Behaviour) -> None:
        self.identity = Identity(identity)
        self.provider = Identity(respond(200, json.dumps(CHAT).encode()))
        place = self.provider.url
        config: dict[str, Any] = {
            "gateway": {"port": 0, "plain_port": 0},
            "health": {"port": 0},
            "providers": {
                "azure": {
                    "base_url": place,
                    "keys": "env:SECRET",
                    "entra": {"tenant": "t", "client": "c", "authority": self.identity.url},
                    "deployments": {"gpt": "main"},
                    "api_version": "2024-10-21",
                },
                "vertex": {"base_url": f"{place}/v1", "project": "p", "location": "x-1", "keys": "env:ACCOUNT"},
                "bedrock": {"base_url": place, "region": "eu-west-1", "keys": ["env:K1", "env:K2", "env:K3"]},
            },
            "models": {"gpt": "azure", "llama": "vertex/meta/llama", "nova": "bedrock/amazon.nova-lite-v1:0"},
        }
        environment = dict(zip(("K1", "K2", "K3"), KEYS, strict=True)) | {
            "SECRET": SECRET,
            "ACCOUNT": json.dumps(account(token_uri=f"{self.identity.url}/google")),
        }
        self.gateway = Running(config, folder, environment)

    def ask(self, model: str) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
        url = f"{self.gateway.url(tls=False)}/v1/chat/completions"
        return httpx.post(url, json=body, headers={"authorization": "Bearer of-the-client"}, timeout=20)

    def stop(self) -> None:
        self.gateway.stop()
        self.identity.stop()
        self.provider.stop()
        written = self.gateway.everything()
        for each in (SECRET, *KEYS[1:], FETCHED, "PRIVATE KEY", "of-the-client"):
            assert each not in written


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    made = Setting(tmp_path_factory.mktemp("credentials"), granted(FETCHED))
    yield made
    made.stop()


@pytest.mark.envoy
def test_azure_gets_a_token_of_entra(setting: Setting) -> None:
    answer = setting.ask("gpt")
    assert answer.status_code == 200, answer.text
    received = setting.provider.requests[-1]
    assert received.target == "/openai/deployments/main/chat/completions?api-version=2024-10-21"
    assert received.header("authorization") == f"Bearer {FETCHED}"
    assert received.header("api-key") is None
    asked = [each for each in setting.identity.forms if each["grant_type"] == "client_credentials"]
    assert {each["client_secret"] for each in asked} == {SECRET}  # each worker asks for itself


@pytest.mark.envoy
def test_vertex_gets_a_token_for_its_service_account(setting: Setting) -> None:
    answer = setting.ask("llama")
    assert answer.status_code == 200, answer.text
    received = setting.provider.requests[-1]
    assert received.target == "/v1/projects/p/locations/x-1/endpoints/openapi/chat/completions"
    assert received.header("authorization") == f"Bearer {FETCHED}"
    assert received.json()["model"] == "meta/llama"


@pytest.mark.envoy
def test_bedrock_gets_what_is_signed(setting: Setting) -> None:
    setting.provider.behaviours[:] = [respond(200, json.dumps(CONVERSED).encode())]
    try:
        answer = setting.ask("nova")
    finally:
        setting.provider.behaviours[:] = [respond(200, json.dumps(CHAT).encode())]
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "Hello."
    received = setting.provider.requests[-1]
    assert received.target == "/model/amazon.nova-lite-v1%3A0/converse"
    assert received.header("content-type") == "application/json"
    at = datetime.datetime.strptime(str(received.header("x-amz-date")), "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    url = f"http://{received.header('host')}{received.target}"
    wanted = sign(url, received.body, KEYS, "eu-west-1", "bedrock", at)
    assert received.header("authorization") == wanted["authorization"]
    assert received.header("x-amz-security-token") == KEYS[2]


@pytest.mark.envoy
def test_without_a_token_nothing_is_sent_and_the_operator_is_told(tmp_path: Path) -> None:
    setting = Setting(tmp_path, says({"error": "invalid_client", "error_description": SECRET}, 401))
    try:
        answer = setting.ask("gpt")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "credentials_not_ready")
        assert setting.provider.requests == []
        line = setting.gateway.wait_for(lambda each: each["event"] == "credential" and each["providers"] == "azure")
        assert line["why"] == "the identity service answered 401 (invalid_client)"
    finally:
        setting.stop()
