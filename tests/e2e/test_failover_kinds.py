"""Providers of different kinds stand in for each other: what each is sent, and what the client gets."""

from __future__ import annotations

import pytest

from tests.e2e.foreign import CACHED, INPUT, OUTPUT, PROVIDERS
from tests.e2e.mixture import FAILURES, KINDS, LAST, SAMPLE, TIMED, Mixed, backend, other, understood
from tests.e2e.tongues import TONGUES
from tests.e2e.upstream import respond, silent

PAIRS = [(first, second) for first in KINDS for second in KINDS if first != second]
STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def fail(case: Mixed, kind: str, failure: str) -> None:
    """Let the provider of this kind fail this test's requests."""
    if failure == "silent":
        case.on(silent, at=kind)
    elif failure != "refused":
        headers = [("retry-after", "60")] if failure == "429" else []
        case.on(PROVIDERS[kind].shape.fails(int(failure), "first provider's words", headers), at=kind)


def check(case: Mixed, model: str, first: str, second: str, failure: str, tongue: str, *, stream: bool) -> None:
    """One request of which the first backend fails."""
    fail(case, first, failure)
    answer = case.ask(model, tongue, "I am a@example.com", stream=stream)
    speaks = TONGUES[tongue]
    said = understood(answer, speaks, stream=stream)
    assert (said.text, said.finish) == (f"Hello from {second}.", speaks.stop)
    assert (said.input, said.output, said.ended) == (INPUT, OUTPUT, True)
    told = 1 if failure == "refused" else 2
    assert case.asked_of() == ({second: 1} if told == 1 else {first: 1, second: 1})
    for kind in case.asked_of():
        received = case.one(kind)
        assert received.header("content-length") == str(len(received.body))
        assert b"a@example.com" not in received.body
        assert b"I am [email]" in received.body
        asked = PROVIDERS[kind].asked(received)
        assert asked
        assert asked[1] is stream
    assert (answer.headers["x-llm-backend"], answer.headers["x-llm-attempts"]) == (backend(second), "2")
    line = case.log()
    assert (line["backend"], line["attempts"], line["upstream_status"]) == (backend(second), 2, 200)
    assert line["tokens"]["input"] == INPUT
    assert line["tokens"]["output"] == OUTPUT
    assert line["tokens"]["cached"] == CACHED
    assert line["end"] == "complete"


CASES = [
    (first, second, failure, stream)
    for number, (first, second) in enumerate(PAIRS)
    for failure in FAILURES
    for stream in (False, True)
    if failure != "silent" or stream is bool(number % 2)  # it takes as long as the timer is set to
]


@pytest.mark.parametrize(("first", "second", "failure", "stream"), CASES)
def test_each_kind_stands_in_for_each(mixed: Mixed, first: str, second: str, failure: str, stream: bool) -> None:
    model = f"{first}-{failure}-{second}{'-s' if stream and failure in TIMED else ''}"
    check(mixed, model, first, second, failure, "chat", stream=stream)


@STREAMS
@pytest.mark.parametrize(("tongue", "first", "second", "failure"), SAMPLE)
def test_for_clients_of_other_apis(
    mixed: Mixed, tongue: str, first: str, second: str, failure: str, stream: bool
) -> None:
    model = f"sample-{SAMPLE.index((tongue, first, second, failure))}{'-s' if stream and failure in TIMED else ''}"
    check(mixed, model, first, second, failure, tongue, stream=stream)


@STREAMS
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_converted_for_the_first_is_not_told_the_second(mixed: Mixed, kind: str, stream: bool) -> None:
    """The second speaks the client's own format, and knows the model by the client's name: its body is the client's."""
    provider = PROVIDERS[kind]
    tongue = TONGUES[provider.shape.name]
    mixed.on(PROVIDERS[other(kind)].shape.fails(500), at=other(kind))
    answer = mixed.ask(provider.model, tongue.name, stream=stream)
    said = understood(answer, tongue, stream=stream)
    assert said.text == f"Hello from {kind}."
    received = mixed.one(kind)
    assert received.json() == tongue.body(provider.model, "Hello", stream=stream)
    assert received.header("content-length") == str(len(received.body))
    assert mixed.one(other(kind)).body != received.body
    assert "x-llm-losses" not in answer.headers


@STREAMS
@pytest.mark.parametrize("tongue", TONGUES)
def test_all_fail_and_the_last_word_is_in_the_clients_format(mixed: Mixed, tongue: str, stream: bool) -> None:
    """Another provider's error, in the client's format, and with what it says of when to try again."""
    first, second = LAST[tongue]
    mixed.on(PROVIDERS[first].shape.fails(500, "first"), at=first)
    mixed.on(PROVIDERS[second].shape.fails(429, "second says jane.doe@example.com", [("retry-after", "60")]), at=second)
    answer = mixed.ask(f"last-{tongue}", tongue, stream=stream)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
    assert answer.headers["content-type"] == "application/json"
    assert TONGUES[tongue].error(answer.json()) == "second says [email]"
    assert mixed.asked_of() == {first: 1, second: 1}
    line = mixed.log()
    assert (line["status"], line["upstream_status"], line["attempts"]) == (429, 429, 2)


@STREAMS
@pytest.mark.parametrize("tongue", TONGUES)
def test_all_refuse_the_key(mixed: Mixed, tongue: str, stream: bool) -> None:
    first, second = LAST[tongue]
    for kind in (first, second):
        mixed.on(PROVIDERS[kind].shape.fails(401, f"wrong key {PROVIDERS[kind].key}"), at=kind)
    answer = mixed.ask(f"last-{tongue}", tongue, stream=stream)
    assert answer.status_code == 401
    assert "refused the gateway's credentials" in TONGUES[tongue].error(answer.json())
    assert "MARKERKEY" not in answer.text


@STREAMS
@pytest.mark.parametrize("kind", [each for each in KINDS if each != "bedrock"])
def test_a_signed_attempt_first(mixed: Mixed, kind: str, stream: bool) -> None:
    """Nothing of the signature stays for the next; the fake checks every header."""
    mixed.on(PROVIDERS["bedrock"].shape.fails(500), at="bedrock")
    said = understood(mixed.ask(f"signed-{kind}", stream=stream), TONGUES["chat"], stream=stream)
    assert said.text == f"Hello from {kind}."
    assert (mixed.one("bedrock").header("authorization") or "").startswith("AWS4-HMAC-SHA256 ")
    assert mixed.one(kind).header("x-amz-date") is None


@STREAMS
@pytest.mark.parametrize("kind", [each for each in KINDS if each != "bedrock"])
def test_a_signed_attempt_second(mixed: Mixed, kind: str, stream: bool) -> None:
    """The signature is of the body that this attempt sends; the fake verifies it."""
    mixed.on(PROVIDERS[kind].shape.fails(429), at=kind)
    answer = mixed.ask(f"{kind}-signed", "anthropic", stream=stream)
    assert understood(answer, TONGUES["anthropic"], stream=stream).text == "Hello from bedrock."
    assert (mixed.one("bedrock").header("authorization") or "").startswith("AWS4-HMAC-SHA256 ")


def test_a_form_fails_over_with_its_own_boundary(mixed: Mixed) -> None:
    """The first attempt names another model, so that its form is built anew; the second gets the client's bytes."""
    mixed.on(PROVIDERS["openai"].shape.fails(500), at="openai")
    mixed.on(respond(200, b'{"text": "Hello."}'), at="azure")
    sound = b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\nRIFF1234'
    model = b'Content-Disposition: form-data; name="model"\r\n\r\nform'
    body = b"".join([b"--frontier\r\n" + each + b"\r\n" for each in (model, sound)]) + b"--frontier--\r\n"
    media = "multipart/form-data; boundary=frontier"
    answer = mixed.client().post("/v1/audio/transcriptions", content=body, headers={"content-type": media})
    assert (answer.status_code, answer.json()) == (200, {"text": "Hello."})
    first, second = mixed.one("openai"), mixed.one("azure")
    assert (second.body, second.header("content-type")) == (body, media)
    assert b"whisper-1" in first.body
    for each in (first, second):
        boundary = (each.header("content-type") or "").partition("boundary=")[2].encode()
        assert boundary
        assert each.body.endswith(b"--" + boundary + b"--\r\n")
        assert each.header("content-length") == str(len(each.body))


@STREAMS
@pytest.mark.parametrize("tongue", ["chat", "responses", "anthropic"])
def test_two_of_one_kind_under_the_clients_own_name(mixed: Mixed, tongue: str, stream: bool) -> None:
    """Nothing but the client's format makes these attempts change the body."""
    model = f"{PROVIDERS['anthropic'].model}-twins"
    answer = mixed.ask(model, tongue, "I am jane.doe@example.com", stream=stream)
    assert answer.status_code == 200, answer.text
    received = mixed.one("anthropic")
    assert received.json()["model"] == model
    assert b"max_tokens" in received.body
    assert b"jane.doe" not in received.body
    assert mixed.log()["backend"] == "anthropic"  # at the first attempt or, until the dead one is ejected, the second
