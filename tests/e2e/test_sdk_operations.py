"""What is not chat, by each SDK: embeddings, pictures, sound, moderation, plain completions, counting tokens."""

from __future__ import annotations

import ssl
from typing import Any

import openai
import pytest
from google.genai import types

from tests.e2e.cloud_openai import SOUND
from tests.e2e.matrix import BACKENDS, Matrix, public
from tests.e2e.scenes import INPUT, OTHER_MAIL, OUTPUT
from tests.e2e.sdk import OpenAIChat

SHAPED = ("openai", "compatible", "azure", "azure classic")
WHOLE = ("openai", "azure", "azure classic")
CLASSIC = "azure classic"


def asked(matrix: Matrix, client: str, backend: str) -> tuple[Any, str]:
    """A client's SDK and the name it calls the model by."""
    return matrix.clients[client].sdk, public(client, backend)


def hidden(matrix: Matrix, backend: str) -> bytes:
    """The one body the backend got; the client's e-mail address is not in it."""
    (found,) = matrix.received(backend)
    assert OTHER_MAIL.encode() not in found.body
    assert b"[email]" in found.body
    return found.body


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("backend", SHAPED)
def test_embeddings(matrix: Matrix, backend: str, many: bool) -> None:
    sdk, model = asked(matrix, "openai chat", backend)
    text = f"scene-text of {OTHER_MAIL}"
    found = sdk.embeddings.create(model=model, input=[text, "more"] if many else text)
    assert [each.embedding for each in found.data] == [[0.5, -0.25]] * (2 if many else 1)
    assert found.usage.prompt_tokens == INPUT
    hidden(matrix, backend)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("backend", SHAPED)
def test_plain_completions(matrix: Matrix, backend: str, stream: bool) -> None:
    sdk, model = asked(matrix, "openai chat", backend)
    found = sdk.completions.create(model=model, prompt=f"Ask {OTHER_MAIL}", stream=stream)
    events = list(found) if stream else [found]
    text = "".join(each.choices[0].text for each in events if each.choices)
    assert text == "Write to [email]."
    assert stream or found.usage.completion_tokens == OUTPUT
    hidden(matrix, backend)


@pytest.mark.parametrize("backend", WHOLE)
def test_pictures(matrix: Matrix, backend: str) -> None:
    sdk, model = asked(matrix, "openai chat", backend)
    found = sdk.images.generate(model=model, prompt=f"The cat of {OTHER_MAIL}")
    assert found.data[0].b64_json
    assert found.data[0].revised_prompt == "A cat of [email]"
    hidden(matrix, backend)


@pytest.mark.parametrize("backend", WHOLE)
def test_speech(matrix: Matrix, backend: str) -> None:
    sdk, model = asked(matrix, "openai chat", backend)
    found = sdk.audio.speech.create(model=model, voice="alloy", input=f"Call {OTHER_MAIL}")
    assert found.read() == SOUND
    hidden(matrix, backend)


@pytest.mark.parametrize("backend", WHOLE)
def test_transcriptions(matrix: Matrix, backend: str) -> None:
    sdk, model = asked(matrix, "openai chat", backend)
    file = ("call.mp3", b"ID3" + b"\0" * 64, "audio/mpeg")
    found = sdk.audio.transcriptions.create(model=model, file=file, prompt=f"A call of {OTHER_MAIL}")
    assert found.text == "Call [email] now."
    body = hidden(matrix, backend)
    assert b'filename="call.mp3"' in body
    assert b"ID3" + b"\0" * 64 in body
    if backend == "openai":
        assert b"gpt-4o\r\n" in body


def test_moderations(matrix: Matrix) -> None:
    sdk, model = asked(matrix, "openai chat", "openai")
    found = sdk.moderations.create(model=model, input=f"Is {OTHER_MAIL} bad?")
    assert found.results[0].flagged is False
    hidden(matrix, "openai")


@pytest.mark.parametrize("backend", ["anthropic", "gemini", "vertex gemini", "bedrock nova"])
def test_what_a_provider_cannot_do_is_said(matrix: Matrix, backend: str) -> None:
    sdk, model = asked(matrix, "openai chat", backend)
    with pytest.raises(openai.BadRequestError) as raised:
        sdk.images.generate(model=model, prompt="A cat")
    assert raised.value.code == "unsupported_operation"
    assert matrix.received(backend) == []


@pytest.mark.parametrize("backend", ["anthropic", "vertex claude"])
def test_anthropic_counts_tokens(matrix: Matrix, backend: str) -> None:
    sdk, model = asked(matrix, "anthropic messages", backend)
    turns = [{"role": "user", "content": f"Ask {OTHER_MAIL}"}]
    assert sdk.messages.count_tokens(model=model, messages=turns).input_tokens == INPUT
    hidden(matrix, backend)


@pytest.mark.parametrize("backend", ["gemini", "vertex gemini"])
def test_gemini_counts_tokens(matrix: Matrix, backend: str) -> None:
    sdk, model = asked(matrix, "google-genai", backend)
    assert sdk.models.count_tokens(model=model, contents=f"Ask {OTHER_MAIL}").total_tokens == INPUT
    hidden(matrix, backend)


@pytest.mark.parametrize("count", [1, 2])
def test_gemini_embeds(matrix: Matrix, count: int) -> None:
    sdk, model = asked(matrix, "google-genai", "gemini")
    contents = [types.Content(parts=[types.Part(text=f"Ask {OTHER_MAIL}")]) for _ in range(count)]
    config = types.EmbedContentConfig(task_type="RETRIEVAL_QUERY")
    found = sdk.models.embed_content(model=model, contents=contents, config=config)
    assert [each.values for each in found.embeddings] == [[0.5, -0.25]] * count
    hidden(matrix, "gemini")


@pytest.mark.parametrize("backend", ["bedrock claude", "bedrock key"])
def test_bedrock_counts_tokens(matrix: Matrix, backend: str) -> None:
    sdk, model = asked(matrix, "boto3 converse", backend)
    turns = [{"role": "user", "content": [{"text": f"Ask {OTHER_MAIL}"}]}]
    assert sdk.count_tokens(modelId=model, input={"converse": {"messages": turns}})["inputTokens"] == INPUT
    hidden(matrix, backend)


def test_models_are_listed(matrix: Matrix) -> None:
    names = {public("", each) for each in BACKENDS}
    openai_ = matrix.clients["openai chat"].sdk
    assert names <= {each.id for each in openai_.models.list()}
    assert names <= {each.id for each in matrix.clients["anthropic messages"].sdk.models.list()}
    listed = matrix.clients["google-genai"].sdk.models.list(config={"query_base": True})
    assert names <= {str(each.name).removeprefix("models/") for each in listed}


def test_azures_own_client(matrix: Matrix) -> None:
    """It puts the deployment into the path; the gateway knows it as a model."""
    sdk = openai.AzureOpenAI(
        azure_endpoint=matrix.gateway.url(tls=False), api_key="azureclientMARKER0123456789", max_retries=0,
        api_version="2024-10-21", http_client=openai.DefaultHttpxClient(trust_env=False),
    )  # fmt: skip
    with sdk:
        for backend in ("azure", "azure classic", "anthropic"):
            model = public("", backend)
            found = sdk.chat.completions.create(
                model=model, messages=[{"role": "user", "content": f"scene-text for {OTHER_MAIL}"}]
            )
            assert str(found.choices[0].message.content).startswith("Write to [email] today.")


def test_over_tls(matrix: Matrix) -> None:
    client = OpenAIChat(matrix.gateway.url(tls=True))
    client.sdk.close()
    context = ssl.create_default_context(cafile=matrix.gateway.ca)
    http = openai.DefaultHttpxClient(verify=context, trust_env=False)
    with client.sdk.with_options(http_client=http) as client.sdk:
        said = client.ask(public("", "anthropic"), "text", stream=True)
    assert said.text.startswith("Write to [email] today.")
