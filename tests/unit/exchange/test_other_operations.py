"""Operations that are no conversations: where words have no place, and counts that nobody can give but we."""

import orjson
import pytest

from extproc import events
from extproc.exchange.router import RouterExchange
from tests.unit.exchange.support import compiled

CONFIG = """
providers:
  main: {type: openai-compatible, base_url: "http://127.0.0.1:1/v1", keys: none, formats: [openai-audio, openai-images]}
policies:
  magic: {kind: wordlist, words: [magic word], action: reply, reply: please, phase: request}
  rude:  {kind: wordlist, words: [forbidden], action: block, style: refusal}
"""


def asked(folder, path, body, **headers):
    exchange = RouterExchange(compiled(CONFIG, folder))
    found = {":method": "POST", ":path": path, ":authority": "g", "content-type": "application/json", **headers}
    exchange.receive(events.RequestHeaders(found, False))
    (effect,) = exchange.receive(events.RequestBody(orjson.dumps(body), True))
    return effect


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"model": "m", "input": "the {} here"}),
        ("/v1/images/generations", {"model": "m", "prompt": "the {} here"}),
        ("/v1/audio/speech", {"model": "m", "input": "the {} here", "voice": "x"}),
    ],
)
def test_words_that_have_no_place_in_an_answer_are_an_error(tmp_path, path, body):
    for word in ("magic word", "forbidden"):
        said = {name: value.replace("{}", word) for name, value in body.items()}
        effect = asked(tmp_path, path, said)
        assert effect.status == 400
        assert "error" in orjson.loads(effect.body)
    assert isinstance(asked(tmp_path, path, body), events.ContinueBody)


def test_tokens_are_estimated_where_no_provider_can_count_them(tmp_path):
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "eight by"}, {"role": "user", "content": "123456789"}],
    }
    effect = asked(tmp_path, "/v1/messages/count_tokens", body, **{"anthropic-version": "2023-06-01"})
    assert effect.status == 200
    assert orjson.loads(effect.body) == {"input_tokens": 2 + 3}


def test_gemini_counts_too(tmp_path):
    effect = asked(tmp_path, "/v1beta/models/m:countTokens", {"contents": [{"parts": [{"text": "12345678"}]}]})
    assert orjson.loads(effect.body) == {"totalTokens": 2}
