"""What we say in Gemini's shape, read by Google's own SDK: its types refuse members they do not know."""

import json

import httpx
import pytest
from hypothesis import given, settings

from extproc.chat.answer import Failure
from extproc.chat.codec import Context
from extproc.chat.fold import unfold
from extproc.chat.losses import Losses
from tests.golden.gemini import CODEC, FORMAT, PATIENT
from tests.golden.test_gemini_canonical import answers, requests

pytest.importorskip("google.genai", reason="google-genai is not installed")

from google import genai
from google.genai import errors, types

CONTEXT = Context("r1", "m", 17)


def client(body, media="application/json", status=200):
    """A client of a server that always says this."""

    def handle(request):
        return httpx.Response(status, headers={"content-type": media}, content=body)

    transport = httpx.Client(transport=httpx.MockTransport(handle))
    return genai.Client(api_key="none", http_options=types.HttpOptions(httpx_client=transport))


def ask(body, **more):
    return client(body, **more).models.generate_content(model="m", contents="hello")


def stream(body):
    return list(client(body, "text/event-stream").models.generate_content_stream(model="m", contents="hello"))


def words(chunks):
    parts = [part for chunk in chunks for each in chunk.candidates or [] for part in each.content.parts or []]
    return "".join(part.text or "" for part in parts if not part.thought)


def test_a_reply():
    found = ask(FORMAT.reply('no "jokes"', "m", "r1", 17))
    assert (found.text, found.model_version, found.response_id) == ('no "jokes"', "m", "r1")
    assert found.usage_metadata.total_token_count == 0
    assert found.candidates[0].finish_reason is types.FinishReason.STOP
    refused = ask(FORMAT.reply("no", "m", "r1", 17, refuses=True))
    assert (refused.text, refused.candidates[0].finish_reason) == ("no", types.FinishReason.SAFETY)


def test_a_reply_as_a_stream():
    chunks = stream(FORMAT.reply_stream("no\njokes", "m", "r1", 17))
    assert words(chunks) == "no\njokes"
    assert chunks[-1].candidates[0].finish_reason is types.FinishReason.STOP


def test_an_error():
    for status in (400, 403, 429, 503):
        with pytest.raises(errors.ClientError if status < 500 else errors.ServerError) as caught:
            ask(FORMAT.error(status, "pii", "no", "policy_violation", "contents"), status=status)
        assert (caught.value.code, caught.value.message) == (status, "no")
        assert caught.value.status == json.loads(FORMAT.error(status, "", "", ""))["error"]["status"]


def test_an_error_in_the_middle_of_a_stream():
    said = FORMAT.reply_stream("a", "m", "r1", 17)
    for end in (
        FORMAT.error_event("pii", "no", "policy_violation"),
        CODEC.encoder(CONTEXT, Losses()).encode(Failure("invalid_request", "no", "pii", 400)),
    ):
        with pytest.raises(errors.ClientError, match="no"):
            stream(said + end)


def test_the_end_of_a_stream():
    raw = FORMAT.reply_stream("a", "m", "r1", 17)
    ending = FORMAT.ending()
    ending.see(json.loads(raw.removeprefix(b"data: ")))
    chunks = stream(raw + ending.end(" stopped"))
    assert words(chunks) == "a stopped"
    assert chunks[-1].candidates[0].finish_reason is types.FinishReason.SAFETY


def test_an_answer_that_was_cut():
    parts = [{"text": "one"}, {"text": "two"}, {"functionCall": {"name": "f", "args": {}}}]
    body = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
    edits = FORMAT.cut(body, ("candidates", 0, "content", "parts", 1, "text"), "t")
    for (*around, last), value in edits.items():
        inside = body
        for step in around:
            inside = inside[step]
        inside[last] = json.loads(value)
    found = ask(json.dumps(body).encode())
    assert (found.text, found.function_calls) == ("onet", None)


def test_the_list_of_models():
    found = list(client(FORMAT.models(["a", "b"])).models.list(config={"query_base": True}))
    assert [model.name for model in found] == ["models/a", "models/b"]


@settings(PATIENT, max_examples=30)
@given(answers())
def test_answers_and_streams(answer):
    written = CODEC.encode_answer(answer, CONTEXT, Losses())
    whole = types.GenerateContentResponse.model_validate(written)
    encoder = CODEC.encoder(CONTEXT, Losses())
    raw = b"".join([encoder.encode(event) for event in unfold(answer)] + [encoder.close()])
    chunks = stream(raw)
    assert words(chunks) == words([whole])
    assert chunks[-1].usage_metadata == whole.usage_metadata
    assert bool(chunks[-1].candidates) == bool(answer.choices), (
        "clients look for an end in the event that has the usage"
    )
    ends = {each.index: each.finish_reason for chunk in chunks for each in chunk.candidates or [] if each.finish_reason}
    assert ends == {each.index: each.finish_reason for each in whole.candidates}


@settings(PATIENT, max_examples=50)
@given(requests())
def test_requests(request):
    body = CODEC.encode_request(request, Losses())
    for content in body.pop("contents"):
        types.Content.model_validate(content)
    types.Content.model_validate(body.pop("systemInstruction", {}))
    for tool in body.pop("tools", []):
        types.Tool.model_validate(tool)
    types.ToolConfig.model_validate(body.pop("toolConfig", {}))
    types.GenerationConfig.model_validate(body.pop("generationConfig", {}))
    assert body == {}
