"""Every string of every recorded message is seen by the gateway: a marker put there is redacted, blocked or refused.

What may hold a short token unseen is listed in ``tests/unit/formats/anthropic/test_texts.py``, by name and with the reason.
"""

import json

import pytest

from extproc import events
from extproc.exchange.router import RouterExchange
from extproc.formats.anthropic.texts import SKIP
from tests.golden.anthropic_wire import answers, requests, streams
from tests.property.test_placement import MARKER, WORD, encoded, refused, shown, variants
from tests.unit.exchange.support import answer_headers, chat_headers, compiled

pytestmark = pytest.mark.data

CONFIG = f"""
providers: {{main: {{type: anthropic, base_url: "http://127.0.0.1:1", keys: env:MAIN_KEY}}}}
models: {{"*": main}}
policies:
  emails: {{kind: pii, find: [email], action: redact}}
  word:   {{kind: wordlist, words: [{WORD}], action: block}}
"""
ASKED = {"model": "claude-x", "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    return compiled(CONFIG, tmp_path_factory.mktemp("placement"))


def unseen(at, new):
    name = next((key for key in reversed(at) if isinstance(key, str)), "")
    return new == WORD and name in SKIP and not {"input", "input_examples"} & set(at)


def requested(runtime, body, path="/v1/messages"):
    one = RouterExchange(runtime)
    one.receive(chat_headers(**{":path": path}))
    return one, one.receive(events.RequestBody(body, True))


def answered(runtime, media, body):
    asked = {**ASKED, "stream": media == "text/event-stream"}
    one, _ = requested(runtime, encoded(asked))
    return one.receive(answer_headers(media, 200)) + one.receive(events.ResponseBody(body, True))


def test_every_string_of_every_request(runtime):
    count = 0
    for name, value in requests():
        path = "/v1/messages" if "max_tokens" in value else "/v1/messages/count_tokens"
        _, effects = requested(runtime, encoded(value), path)
        assert shown(effects, encoded(value)), name
        assert not refused(effects), name
        for at, new, changed in variants(value):
            _, effects = requested(runtime, encoded(changed), path)
            left = shown(effects, encoded(changed)).decode()
            count += 1
            assert MARKER not in left, (name, at)
            assert unseen(at, new) or WORD not in new or refused(effects), (name, at)
    assert count > 1000


def test_every_string_of_every_whole_answer(runtime):
    count = 0
    for name, value in answers():
        effects = answered(runtime, "application/json", encoded(value))
        assert value["id"].encode() in shown(effects, encoded(value)), name
        for at, new, changed in variants(value):
            left = shown(answered(runtime, "application/json", encoded(changed))).decode()
            count += 1
            assert MARKER not in left, (name, at)
            assert unseen(at, new) or WORD not in new or WORD not in left, (name, at)
    assert count > 1000


def named(parts):
    """Events under their types, but for one whose type is no name."""
    types = [json.loads(part).get("type", "") for part in parts]
    return b"".join(
        (f"event: {kind}\n".encode() if kind.isidentifier() else b"") + b"data: " + part + b"\n\n"
        for kind, part in zip(types, parts, strict=True)
    )


def test_every_string_of_every_event(runtime):
    count = 0
    for name, parts in streams():
        assert shown(answered(runtime, "text/event-stream", named(parts))) == named(parts), name
        for number, part in enumerate(parts):
            if 25 < number < len(parts) - 2:
                continue  # the same again
            for at, new, changed in variants(json.loads(part), f" {WORD} "):  # what comes next may go on with it
                body = named([*parts[: min(number, 1)], encoded(changed), *parts[number + 1 : number + 4]])
                left = shown(answered(runtime, "text/event-stream", body)).decode()
                count += 1
                assert MARKER not in left, (name, number, at)
                assert WORD not in left, (name, number, at, new)
    assert count > 1000
