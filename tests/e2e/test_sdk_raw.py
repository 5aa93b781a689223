"""Streams as the SDKs give them event by event, clients that are asynchronous, and clients without a right to ask."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import boto3
import openai
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from google import genai
from google.genai import types

from tests.e2e.matrix import BACKENDS, Matrix, public
from tests.e2e.scenes import INPUT, OUTPUT, SCENES
from tests.e2e.sdk import KEYS, prompt

TEXT = SCENES["text"].text.replace("jane.doe@example.com", "[email]")
ASKED: list[Any] = [{"role": "user", "content": prompt("text")}]


@pytest.mark.parametrize("usage", [False, True])
@pytest.mark.parametrize("backend", BACKENDS)
def test_chunks_of_chat(matrix: Matrix, backend: str, usage: bool) -> None:
    """One id, a role at first, one reason at last, and usage in a chunk of its own where it was asked for."""
    sdk = matrix.clients["openai chat"].sdk
    more: dict[str, Any] = {"stream_options": {"include_usage": True}} if usage else {}
    chunks = list(sdk.chat.completions.create(model=public("", backend), messages=ASKED, stream=True, **more))
    assert len({each.id for each in chunks}) == 1
    assert {each.object for each in chunks} == {"chat.completion.chunk"}
    said = [each.choices[0] for each in chunks if each.choices]
    assert said[0].delta.role == "assistant"
    assert "".join(each.delta.content or "" for each in said) == TEXT
    assert [each.finish_reason for each in said if each.finish_reason] == ["stop"]
    assert said[-1].finish_reason == "stop"
    counted = [each.usage for each in chunks if each.usage]
    assert [each.total_tokens for each in counted] == ([INPUT + OUTPUT] if usage else [])
    assert not usage or not chunks[-1].choices


@pytest.mark.parametrize("backend", BACKENDS)
def test_events_of_responses(matrix: Matrix, backend: str) -> None:
    """They are numbered in order and begin and end as the reference says."""
    sdk = matrix.clients["openai responses"].sdk
    events = list(sdk.responses.create(model=public("", backend), input=ASKED, stream=True))
    assert [each.sequence_number for each in events] == list(range(len(events)))
    assert [events[0].type, events[-1].type] == ["response.created", "response.completed"]
    assert "".join(each.delta for each in events if each.type == "response.output_text.delta") == TEXT
    (done,) = (each for each in events if each.type == "response.output_text.done")
    assert done.text == events[-1].response.output_text == TEXT


@pytest.mark.parametrize("backend", BACKENDS)
def test_events_of_messages(matrix: Matrix, backend: str) -> None:
    """Every block is opened, filled and closed, one after the other."""
    sdk = matrix.clients["anthropic messages"].sdk
    events = list(sdk.messages.create(model=public("", backend), max_tokens=500, messages=ASKED, stream=True))
    kinds = [each.type for each in events if each.type != "ping"]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) == {"content_block_delta"}
    assert "".join(each.delta.text for each in events if each.type == "content_block_delta") == TEXT
    assert events[-2].usage.output_tokens == OUTPUT


@pytest.mark.parametrize("backend", ["openai", "anthropic", "gemini", "bedrock nova"])
def test_asynchronous_clients(matrix: Matrix, backend: str) -> None:
    base, model = matrix.gateway.url(tls=False), public("", backend)

    async def chat() -> str:
        http = openai.DefaultAsyncHttpxClient(trust_env=False)
        sdk = openai.AsyncOpenAI(base_url=f"{base}/v1", api_key=KEYS["openai"], http_client=http)
        async with sdk, sdk.chat.completions.stream(model=model, messages=ASKED) as stream:
            return str((await stream.get_final_completion()).choices[0].message.content)

    async def message() -> str:
        http = anthropic.DefaultAsyncHttpxClient(trust_env=False)
        sdk = anthropic.AsyncAnthropic(base_url=base, api_key=KEYS["anthropic"], http_client=http)
        async with sdk, sdk.messages.stream(model=model, max_tokens=500, messages=ASKED) as stream:
            return await stream.get_final_text()

    async def content() -> str:
        options = types.HttpOptions(base_url=base, async_client_args={"trust_env": False})
        async with genai.Client(api_key=KEYS["gemini"], http_options=options).aio as sdk:
            chunks = await sdk.models.generate_content_stream(model=model, contents=prompt("text"))
            return "".join([str(each.text or "") async for each in chunks])

    async def ask() -> list[str]:
        return [await chat(), await message(), await content()]

    assert asyncio.run(ask()) == [TEXT] * 3


@pytest.mark.parametrize("secret", ["wrongsecretMARKER0123456789", ""])
def test_clients_of_aws_must_sign(matrix: Matrix, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the wrong secret, and with an API key in place of a signature."""
    given = {"aws_access_key_id": KEYS["access"], "aws_secret_access_key": secret} if secret else {}
    if not secret:
        monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "bedrock-api-key-of-a-client")
    config = Config(retries={"total_max_attempts": 1}, proxies={})
    sdk = boto3.client(
        "bedrock-runtime", region_name="us-east-1", endpoint_url=matrix.gateway.url(tls=True), config=config,
        verify=matrix.gateway.ca, **given,
    )  # fmt: skip
    turns = [{"role": "user", "content": [{"text": "Hi"}]}]
    with pytest.raises(ClientError) as raised:
        sdk.converse(modelId=public("", "bedrock nova"), messages=turns)
    sdk.close()
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403, raised.value.response
    assert raised.value.response["Error"]["Code"] == "AccessDeniedException"
    assert matrix.received("bedrock nova") == []
