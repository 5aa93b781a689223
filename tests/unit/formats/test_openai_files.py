"""OpenAI image edits and variations: no string escapes, pictures are counted, and SDKs read what we say."""

import json

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import ImagesResponse

from extproc.chat.answer import Usage
from extproc.formats import openai_files
from extproc.formats.openai_files import OpenAIImageEdits
from extproc.framing import multipart
from extproc.policy.api import Outcome, Phase
from tests.property.streams import events
from tests.unit.formats.media import BLOB, MAIL, STOP, TOKEN, Run, leaves, same, unseen, whole
from tests.unit.policy.kinds.support import compiled

FORMAT = OpenAIImageEdits()
PICTURE = {"filename": "cat.png", "content_type": "image/png"}
FORM = {
    "image": [PICTURE, PICTURE],
    "mask": PICTURE,
    "prompt": "A cat",
    "model": "gpt-image-1",
    "n": 2,
    "size": "1024x1024",
    "quality": "high",
    "background": "auto",
    "output_format": "png",
    "input_fidelity": "high",
    "response_format": "b64_json",
    "moderation": "low",
    "stream": "true",
    "user": "u-1",
    "svg": {"model": "m", "reasoning": {"effort": "low"}},
}
JSON = {
    "images": [{"image_url": BLOB}, {"file_id": "file-1"}],
    "mask": {"image_url": "https://example.com/x.png"},
    "prompt": "A cat",
    "model": "gpt-image-1",
    "complexity": "low",
}
USAGE = {
    "total_tokens": 100,
    "input_tokens": 50,
    "output_tokens": 50,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
}
ANSWER = {
    "created": 1,
    "background": "opaque",
    "output_format": "png",
    "quality": "high",
    "size": "1024x1024",
    "data": [{"b64_json": "QUJD" * 40}, {"url": "https://example.com/x.png", "revised_prompt": "A cat"}],
    "usage": USAGE,
}
HEAD = {"created_at": 1, "size": "1024x1024", "quality": "high", "background": "auto", "output_format": "png"}
PARTIAL = {"type": "image_edit.partial_image", "b64_json": "QUJD" * 40, "partial_image_index": 0, **HEAD}
COMPLETED = {"type": "image_edit.completed", "b64_json": "QUJD" * 40, **HEAD, "usage": USAGE}
ERROR = {"error": {"message": "No.", "type": "image_generation_user_error", "param": "prompt", "code": "x"}}

# Names whose value is not looked at while it is one short token, as it always is; any prose under them is.
STRUCTURE = {
    "model", "type", "object", "background", "output_format", "quality", "size", "response_format", "moderation",
    "input_fidelity", "effort", "complexity", "stream", "content_type",
}  # fmt: skip
BINARY = {"b64_json", "url", "image_url"}
EXPECTED = {(each, TOKEN) for each in STRUCTURE} | {(each, BLOB) for each in BINARY}


def framed(event):
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def test_the_list_of_structure_is_the_codes():
    assert STRUCTURE == openai_files._SKIP


@pytest.mark.parametrize("body", [FORM, JSON])
def test_no_string_of_a_request_escapes(body):
    assert unseen(body, FORMAT.request_spans) <= EXPECTED
    assert len(list(leaves(body))) >= 6


@pytest.mark.parametrize("body", [ANSWER, ERROR, PARTIAL, COMPLETED])
def test_no_string_of_an_answer_or_event_escapes(body):
    assert unseen(body, FORMAT.response_spans) <= EXPECTED
    assert unseen(body, lambda value: FORMAT.delta(value).pieces) <= EXPECTED


NAMES = st.sampled_from(["", "data", "b64_json", "url", "revised_prompt", "image", "usage", "new", "type", "model"])
ANY = st.recursive(
    st.sampled_from(["a b", None, True, 0, 7]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


@given(ANY)
def test_no_string_escapes_wherever_it_stands(body):
    strings = set(leaves(body))
    assert {span.path for span in FORMAT.response_spans(body)} == strings
    assert {piece.path for piece in FORMAT.delta(body).pieces} == strings
    assert FORMAT.echoes(body, strings) == []
    FORMAT.ending().see(body)
    FORMAT.usage(body)
    if isinstance(body, dict):
        assert {span.path for span in FORMAT.request_spans(body)} == strings
        assert FORMAT.streamed(body) in (True, False)


def test_names_of_members_are_texts():
    for body in ({"jane doe": 1}, {"data": [{"jane doe": 1}]}):
        assert [(span.text, span.fixed) for span in FORMAT.request_spans(body)] == [("jane doe", True)]
        assert [(span.text, span.fixed) for span in FORMAT.response_spans(body)] == [("jane doe", True)]


def test_what_a_request_asks_for():
    assert FORMAT.unscanned(FORM) == FORMAT.unscanned(JSON) == ["image"]
    assert FORMAT.unscanned({"prompt": "x"}) == []
    assert [FORMAT.streamed(body) for body in (FORM, JSON, {"stream": True})] == [True, False, True]
    assert FORMAT.model(FORM) == "gpt-image-1"
    assert FORMAT.without_padding(b"x") == b"x"


def test_personal_data_and_secrets_are_found():
    pii = compiled({"kind": "pii", "find": ["email"], "action": "redact"})
    secrets = compiled({"kind": "secrets", "action": "redact"})
    key = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"
    head = b'Content-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    parts = [
        head % (b"prompt", b"", f"Draw jane@example.com and {key}".encode()),
        head % (b"image[]", b'; filename="jane@example.com.png"', b"\x89PNG"),
        head % (b"image[]", b'; filename="b.png"', b"\x89PNG 2"),
    ]
    raw = b"".join(b"--b\r\n" + part for part in parts) + b"--b--\r\n"
    form = multipart.parse("multipart/form-data; boundary=b", raw, FORMAT.form)
    decision, left = whole(FORMAT, form.value(), pii, secrets, phase=Phase.REQUEST)
    assert decision.outcome is Outcome.REDACT
    sent, content_type = form.build(left)
    assert b"jane" not in sent
    assert b"16C7e42F" not in sent
    assert parts[2] in sent
    assert multipart.parse(content_type, sent, FORMAT.form).value() == left
    answer = {**ANSWER, "data": [{"revised_prompt": f"jane@example.com {key}"}]}
    _, left = whole(FORMAT, answer, pii, secrets)
    assert "jane" not in json.dumps(left)
    assert "16C7e42F" not in json.dumps(left)
    assert FORMAT.cut(answer, ("data", 0, "revised_prompt"), "x") == {("data", 0, "revised_prompt"): b'"x"'}


def test_a_stream_of_pictures_keeps_its_bytes_and_is_stopped_by_what_it_says():
    raw = framed(PARTIAL) + framed(COMPLETED)
    run = Run(FORMAT, [MAIL, STOP], [raw])
    assert run.out == raw
    assert run.meter.usage == Usage(input=50, output=50)
    run = same(FORMAT, [STOP], {"type": "image_edit.partial_image"}, {**COMPLETED, "b64_json": "a forbidden text"})
    assert run.blocked is STOP
    assert events(run.out)[-2]["error"]["code"] == "stop"
    assert FORMAT.delta(COMPLETED).final
    assert not FORMAT.delta(PARTIAL).final


@pytest.mark.parametrize(
    ("usage", "expected"),
    [(USAGE, Usage(input=50, output=50)), ({"input_tokens": "x"}, Usage()), ({}, None), (None, None), ([], None)],
)
def test_usage(usage, expected):
    assert FORMAT.usage({"usage": usage}) == expected
    assert FORMAT.usage([]) is None


def client(answer, media):
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=answer, headers={"content-type": media}))
    return openai.OpenAI(
        api_key="k", base_url="http://h/v1", http_client=httpx.Client(transport=transport), max_retries=0
    )


def test_a_reply_is_an_answer_to_the_sdk():
    raw = FORMAT.reply('no "jokes"', "m", "r", 17, refuses=True)
    with client(raw, "application/json") as one:
        answer = one.images.edit(image=b"x", prompt="y")
    assert (answer.created, answer.data[0].revised_prompt, answer.usage.total_tokens) == (17, 'no "jokes"', 0)
    assert ImagesResponse.model_validate_json(FORMAT.reply("", "m", "r", 17)).data == []


def test_a_stream_is_ended_by_an_error_to_the_sdk():
    for end, message in (
        (FORMAT.reply_stream("No.", "m", "r", 1), r"No\."),
        (FORMAT.ending().end(""), "withheld"),
        (FORMAT.error_event("blocked", "Stopped.", "policy_violation"), r"Stopped\."),
    ):
        with client(framed(PARTIAL) + end, "text/event-stream") as one:
            said = iter(one.images.edit(image=b"x", prompt="y", stream=True))
            assert next(said).type == "image_edit.partial_image"
            with pytest.raises(openai.APIError, match=message):
                next(said)
    ending = FORMAT.ending()
    ending.see(PARTIAL)
    assert ending.end("x")
    ending.see(COMPLETED)
    assert ending.end("x") == b""
