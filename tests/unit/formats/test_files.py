"""Files of plain text in requests: read and redacted where they stand, encoded as they came; all others are told."""

import base64
import json

import pytest

from extproc.chat.losses import Losses
from extproc.exchange.whole import inspect
from extproc.formats.registry import FORMATS
from extproc.framing.jsontext import parse
from extproc.policy.api import Action, Outcome, Phase, Scope, Tally
from tests.property.streams import chain, policy, regex, words

MAIL = policy("mail", regex(r"\b[a-z.]{1,20}@[a-z]{1,20}\.com\b", "[mail]"))
STOP = policy("stop", words("forbidden"), action=Action.BLOCK)
BAD, GOOD = "# Notes\n\nI am ann@x.com, é", "# Notes\n\nI am [mail], é"
PDF = "%PDF-1.7 ann@x.com"


def b64(text, head=""):
    return head + base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def turn(part):
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, part]}]}


def chat(data, **more):
    return turn({"type": "file", "file": {"file_data": data, **more}})


def responses(data, **more):
    return {"input": [{"role": "user", "content": [{"type": "input_file", "file_data": data, **more}]}]}


def output(data, **more):
    parts = [{"type": "input_file", "file_data": data, **more}]
    return {"input": [{"type": "function_call_output", "call_id": "c", "output": parts}]}


def gemini(data, kind="text/markdown"):
    return {"contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": kind, "data": data}}]}]}


def given(data, kind="text/csv"):
    part = {"inline_data": {"mime_type": kind, "data": data}}
    return {"contents": [{"parts": [{"functionResponse": {"name": "f", "response": {}, "parts": [part]}}]}]}


def bedrock(data, kind="md"):
    return {
        "messages": [
            {"role": "user", "content": [{"document": {"format": kind, "name": "n", "source": {"bytes": data}}}]}
        ]
    }


def result(data, kind="txt"):
    inner = bedrock(data, kind)["messages"][0]["content"]
    return {"messages": [{"role": "user", "content": [{"toolResult": {"toolUseId": "t", "content": inner}}]}]}


def anthropic(data, kind="text/plain"):
    return turn({"type": "document", "source": {"type": "base64", "media_type": kind, "data": data}})


HEAD = "data:text/markdown;base64,"
CASES = [
    ("openai-chat", chat, {"head": HEAD}, {}),
    ("openai-chat", chat, {"head": "DATA:Text/Plain;charset=utf-8;BASE64,"}, {}),
    ("openai-chat", chat, {"head": "data:;base64,"}, {"filename": "a.json"}),
    ("openai-chat", chat, {}, {"filename": "notes.txt"}),
    ("openai-responses", responses, {"head": "data:application/json;base64,"}, {}),
    ("openai-responses", output, {"head": HEAD}, {}),
    ("gemini", gemini, {}, {}),
    ("gemini", given, {}, {}),
    ("bedrock-converse", bedrock, {}, {}),
    ("bedrock-converse", result, {}, {}),
    ("anthropic-messages", anthropic, {}, {}),
]


def run(name, body, *policies):
    raw = json.dumps(body).encode()
    return inspect(FORMATS[name], chain(policies), Phase.REQUEST, raw, parse(raw), Tally())


@pytest.mark.parametrize(("name", "make", "head", "more"), CASES)
def test_its_words_are_judged(name, make, head, more):
    body = make(b64(BAD, **head), **more)
    assert json.loads(run(name, body, MAIL)[1]) == make(b64(GOOD, **head), **more)
    assert run(name, make(b64("so forbidden", **head), **more), STOP)[0].outcome is Outcome.BLOCK
    assert FORMATS[name].unscanned(body) == []


@pytest.mark.parametrize(("name", "make", "head", "more"), CASES)
def test_what_is_harmless_stays_as_it_is(name, make, head, more):
    body = json.dumps(make(b64("no mail", **head), **more)).encode()
    assert inspect(FORMATS[name], chain((MAIL,)), Phase.REQUEST, body, parse(body), Tally())[1] is body


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("openai-chat", chat(b64(PDF, "data:application/pdf;base64,"))),
        ("openai-chat", chat(b64(PDF), filename="a.pdf")),
        ("openai-chat", chat(b64(PDF))),
        ("openai-chat", chat(b64(b"\xff\xfe", HEAD))),
        ("openai-chat", chat(HEAD + "no base64!")),
        ("openai-chat", turn({"type": "file", "file": {"file_id": "file-1"}})),
        ("openai-responses", responses(b64(PDF, "data:application/pdf;base64,"))),
        ("gemini", gemini(b64(PDF), "application/pdf")),
        ("bedrock-converse", bedrock(b64(PDF), "pdf")),
        ("anthropic-messages", anthropic(b64(PDF), "application/pdf")),
    ],
)
def test_any_other_is_told_as_not_read(name, body):
    assert FORMATS[name].unscanned(body) == ["file"]
    assert BAD not in [span.text for span in FORMATS[name].request_spans(body)]


def test_it_is_read_once_and_in_the_scope_of_its_turn():
    (span,) = FORMATS["openai-responses"].request_spans(output(b64("short", HEAD)))
    assert (span.text, span.scope) == ("short", Scope.TOOL_OUTPUT)
    body = chat(b64(BAD), filename="a.txt")
    body["messages"][0]["role"] = "system"
    assert [each.scope for each in FORMATS["openai-chat"].request_spans(body) if each.text == BAD] == [Scope.SYSTEM]


@pytest.mark.parametrize("kind", ["text/plain", "text/markdown", "application/json", "text/x-unknown"])
def test_whatever_is_converted_to_text_has_been_read(kind):
    body = chat(b64(BAD, f"data:{kind};base64,"))
    _, out = run("openai-chat", body, MAIL)
    request = FORMATS["openai-chat"].codec.decode_request(parse(out), Losses(), model="m")
    sent = FORMATS["anthropic-messages"].codec.encode_request(request, Losses())
    assert sent["messages"][0]["content"][1]["source"] == {"type": "text", "media_type": "text/plain", "data": GOOD}


@pytest.mark.parametrize("odd", [None, 1, "x", [], [1], {"file": 1}, {"document": {"source": 1}}, {"inlineData": []}])
def test_what_is_no_file(odd):
    turns = {"role": odd, "content": odd, "parts": [odd]}, {"content": [odd, {"content": [odd]}]}
    for name in ("openai-chat", "openai-responses", "gemini", "bedrock-converse", "anthropic-messages"):
        for key in ("messages", "input", "contents"):
            for value in (odd, [odd], *turns, [*turns]):
                assert FORMATS[name].request_spans({key: value}) is not None


def test_a_file_that_is_not_looked_for_is_told():
    inner = gemini(b64(BAD))["contents"][0]
    assert FORMATS["gemini"].unscanned({"contents": inner}) == []
    assert BAD in [span.text for span in FORMATS["gemini"].request_spans({"contents": inner})]
    assert FORMATS["gemini"].unscanned({"contents": [], "systemInstruction": inner}) == ["file"]
    assert FORMATS["bedrock-count"].unscanned({"input": {"converse": bedrock(b64(BAD))}}) == ["file"]
