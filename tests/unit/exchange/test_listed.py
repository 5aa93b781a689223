"""Gemini's streams without ``alt=sse`` are one JSON array, whatever is in it: an answer, the gateway's words, an error."""

import orjson
import pytest

from extproc import events
from extproc.exchange.forward import UPSTREAM
from extproc.exchange.router import RouterExchange
from tests.unit.exchange.support import chat_headers, compiled

CONFIG = """
providers:
  google: {type: gemini, base_url: "http://127.0.0.1:1", keys: none}
  main:   {type: openai-compatible, base_url: "http://127.0.0.1:2/v1", keys: none}
models: {gem: google/gem, "*": main}
policies:
  words: {kind: wordlist, words: [forbidden phrase], action: block}
  magic: {kind: wordlist, words: [magic word], action: reply, reply: please, phase: request}
  says:  {kind: wordlist, words: [impolite phrase], action: block, style: refusal}
"""
PATH = "/v1beta/models/gem:streamGenerateContent"


def asked(text, folder, path=PATH):
    exchange = RouterExchange(compiled(CONFIG, folder))
    exchange.receive(chat_headers(**{":path": path}))
    body = orjson.dumps({"contents": [{"role": "user", "parts": [{"text": text}]}]})
    (effect,) = exchange.receive(events.RequestBody(body, True))
    return exchange, effect


def answered(folder, status, body, format_="gemini", path=PATH, **more):
    exchange, _ = asked("hi", folder, path)
    headers = {":status": str(status), "content-type": "application/json", **more}
    said = {UPSTREAM: {"backend": "google", "attempts": 1.0, "format": format_}}
    effects = exchange.receive(events.ResponseHeaders(headers, False, {"response.code_details": "via_upstream"}, said))
    effects += exchange.receive(events.ResponseBody(body, True))
    return b"".join(each.body for each in effects if isinstance(each, events.Send | events.Respond))


def test_a_block(tmp_path):
    _, effect = asked("a forbidden phrase", tmp_path)
    (found,) = orjson.loads(effect.body)
    assert found["error"]["code"] == effect.status == 400


def test_a_reply_and_a_refusal(tmp_path):
    for text, said in (("the magic word", "please"), ("an impolite phrase", "policy 'says'")):
        _, effect = asked(text, tmp_path)
        (found,) = orjson.loads(effect.body)
        assert effect.status == 200
        assert said in found["candidates"][0]["content"]["parts"][0]["text"]


def test_a_body_that_cannot_be_read(tmp_path):
    exchange = RouterExchange(compiled(CONFIG, tmp_path))
    exchange.receive(chat_headers(**{":path": PATH}))
    (effect,) = exchange.receive(events.RequestBody(b"{", True))
    assert orjson.loads(effect.body)[0]["error"]["status"] == "INVALID_ARGUMENT"


def test_an_error_of_the_provider(tmp_path):
    error = {"error": {"code": 429, "message": "too much", "status": "RESOURCE_EXHAUSTED"}}
    assert orjson.loads(answered(tmp_path, 429, orjson.dumps(error))) == [error]
    assert orjson.loads(answered(tmp_path, 429, orjson.dumps([error]))) == [error]


def test_an_error_of_another_format(tmp_path):
    error = {"error": {"message": "too much", "type": "rate_limit_error", "code": None, "param": None}}
    (found,) = orjson.loads(answered(tmp_path, 429, orjson.dumps(error), "openai-chat", PATH.replace("gem", "x")))
    assert found["error"]["status"] == "RESOURCE_EXHAUSTED"
    assert found["error"]["message"] == "too much"


def test_an_error_that_cannot_be_read(tmp_path):
    (found,) = orjson.loads(answered(tmp_path, 502, b"<html>"))
    assert found["error"]["code"] == 502


@pytest.mark.parametrize("path", [PATH + "?alt=sse", "/v1beta/models/gem:generateContent"])
def test_others_get_an_object(path, tmp_path):
    _, effect = asked("a forbidden phrase", tmp_path, path)
    assert orjson.loads(effect.body)["error"]["code"] == 400
    error = {"error": {"code": 429, "message": "too much", "status": "RESOURCE_EXHAUSTED"}}
    assert orjson.loads(answered(tmp_path, 429, orjson.dumps(error), path=path)) == error
