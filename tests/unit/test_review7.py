"""What a review of the guard and the shadow has found."""

import orjson
import pytest

from extproc import events
from extproc.exchange.guarding import GuardExchange
from tests.unit.exchange.support import answer_headers, chat, chat_headers, compiled, sse

CONFIG = """
policies:
  pii:   {kind: pii, find: [email]}
  words: {kind: wordlist, words: [forbidden phrase], action: block}
"""
REQUESTS_ONLY = "policies:\n  words: {kind: wordlist, words: [forbidden phrase], action: block, phase: request}\n"
MAIL = "ada@example.com"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    return compiled(CONFIG, tmp_path_factory.mktemp("review7"), {})


@pytest.fixture(scope="module")
def requests_only(tmp_path_factory):
    return compiled(REQUESTS_ONLY, tmp_path_factory.mktemp("review7requests"), {})


def answered(runtime, headers, *chunks, path="/v1/chat/completions", body=None):
    """What a guard makes of an answer: its effects on the headers and the body."""
    guard = GuardExchange(runtime)
    guard.receive(chat_headers(**{":path": path}))
    guard.receive(events.RequestBody(chat("hello") if body is None else body, True))
    effects = guard.receive(headers)
    for index, chunk in enumerate(chunks):
        effects += guard.receive(events.ResponseBody(chunk, index == len(chunks) - 1))
    return effects


def passed(effects):
    """Bytes of an answer that goes on."""
    assert not any(isinstance(each, events.Respond) for each in effects)
    return b"".join(each.body for each in effects if isinstance(each, events.Send))


@pytest.mark.parametrize("status", [200, 201, 202, 206, 302, 400, 500])
def test_words_over_the_events_of_a_stream_are_found_whatever_its_status(guarded, status):
    chunks = sse({"content": "write to ada@exam"}), sse({"content": "ple.com now"}, "stop")
    found = passed(answered(guarded, answer_headers("text/event-stream", status), *chunks, b"data: [DONE]\n\n"))
    said = [orjson.loads(line[6:]) for line in found.split(b"\n\n") if line.startswith(b"data: {")]
    text = "".join(each["choices"][0]["delta"].get("content", "") for each in said)
    assert text == "write to [email] now"


def test_lines_of_json_are_no_text_in_which_words_hide(guarded):
    effects = answered(guarded, answer_headers("application/x-ndjson", 206), b'{"a":"ada@exam"}\n{"a":"ple.com"}\n')
    assert effects[-1].status == 502


@pytest.mark.parametrize("status", [200, 202, 204, 301, 304, 404])
@pytest.mark.parametrize("end", [True, False])
@pytest.mark.parametrize("coding", ["", "gzip"])
def test_an_answer_without_a_body_goes_on(guarded, status, end, coding):
    headers = answer_headers("application/json", status, encoding=coding if end else "", etag="x")
    headers.end = end
    effects = answered(guarded, headers, *([] if end else [b""]))
    assert passed(effects) == b""
    if end:
        assert "etag" not in effects[0].mutation.remove, "it says nothing of a body that has been changed"


def test_a_list_without_anything_goes_on(guarded):
    body = orjson.dumps({"contents": [{"parts": [{"text": "hi"}]}]})
    path = "/v1beta/models/gem:streamGenerateContent"
    assert passed(answered(guarded, answer_headers(), b"", path=path, body=body)) == b""


@pytest.mark.parametrize(
    ("media", "coding", "body"),
    [
        ("text/html; charset=latin-1", "", b"<p>\xe9</p>"),
        ("application/json", "", b"no json"),
        ("text/x", "zz", b"\x01"),
    ],
)
def test_an_error_that_no_policy_looks_at_goes_on_as_it_came(requests_only, media, coding, body):
    assert passed(answered(requests_only, answer_headers(media, 500, encoding=coding), body)) == body
