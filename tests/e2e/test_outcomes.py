"""What a policy's verdict comes to, for a client and for a provider: streamed and not, over TLS and not."""

from __future__ import annotations

import json

import openai
import pytest

from tests.e2e.harness import Case, eventually
from tests.e2e.upstream import DONE, OPENING, Gate, call_events, chunked, completion, event, events, respond

SECRET = "jane.doe@example.com"


def joined(stream: object) -> str:
    return "".join(each.choices[0].delta.content or "" for each in stream if each.choices)  # type: ignore[attr-defined]


def texts(raw: bytes) -> str:
    """The content of a raw stream."""
    found = [json.loads(line[6:]) for line in raw.splitlines() if line.startswith(b"data: {")]
    return "".join(each["choices"][0]["delta"].get("content") or "" for each in found if each.get("choices"))


# pass


def test_whole_answer_passes_byte_for_byte(case: Case) -> None:
    sent = completion("Nothing to see.")
    case.on(respond(200, sent))
    answer = case.post()
    assert (answer.status_code, answer.content) == (200, sent)
    assert case.log()["outcome"] == "allow"


def test_streamed_answer_passes_byte_for_byte(case: Case) -> None:
    sent = [b": hello\n\n", *events("Noth", "ing", " to", " see", ".")]
    case.on(chunked(200, sent))
    answer = case.post(stream=True)
    assert (answer.status_code, answer.content) == (200, b"".join(sent))
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"


@pytest.mark.parametrize("stream", [False, True])
def test_without_policies_bytes_pass(free_case: Case, stream: bool) -> None:
    sent = [b"data: {not json\n\n", *events("xyzzy")] if stream else [b'{"not": json', b"}"]
    media = "text/event-stream" if stream else "application/json"
    free_case.on(chunked(200, sent, [("content-type", media)]))
    answer = free_case.post("xyzzy", stream=stream)
    assert answer.content == b"".join(sent)
    assert free_case.one().json() == free_case.body("xyzzy", stream=stream)


def test_request_passes_byte_for_byte(case: Case) -> None:
    body = b'{ "messages":[{"role":"user","content":"h\\u00e9llo"}],\n"model" : "gpt-4o", "x":1.50, "big":1234567890123456789}'
    assert case.post(content=body).status_code == 200
    assert case.one().body == body
    assert case.one().target == "/v1/chat/completions"
    assert case.one().header("host") == f"127.0.0.1:{case.upstreams['a'].port}"


def test_sdk_reads_whole_and_streamed(case: Case) -> None:
    assert case.chat().choices[0].message.content == "Hello."
    assert joined(case.chat(stream=True)) == "Hello."


@pytest.mark.parametrize("over", ["tls"])
@pytest.mark.parametrize("stream", [False, True])
def test_http2_client(case: Case, stream: bool) -> None:
    sent = events("Hello ", "you") if stream else [completion("Hello you")]
    case.on(chunked(200, sent, [("content-type", "text/event-stream" if stream else "application/json")]))
    answer = case.post(stream=stream, http2=True)
    assert answer.http_version == "HTTP/2"
    assert answer.content == b"".join(sent)


# redact


@pytest.mark.parametrize("stream", [False, True])
def test_request_is_redacted_before_it_leaves(case: Case, stream: bool) -> None:
    assert case.post(f"I am {SECRET}, hello", stream=stream).status_code == 200
    received = case.one()
    assert received.json() == case.body("I am [email], hello", stream=stream)
    assert received.header("content-length") == str(len(received.body))
    assert SECRET.encode() not in received.body
    assert case.log()["verdicts"] == [{"policy": "emails", "label": "email", "outcome": "redact", "count": 1}]


def test_redacted_request_is_renamed_and_measured(case: Case) -> None:
    assert case.post(f"I am {SECRET}", model="named").status_code == 200
    received = case.one()
    assert received.json() == case.body("I am [email]", model="real-name")
    assert received.header("content-length") == str(len(received.body))


def test_whole_answer_is_redacted(case: Case) -> None:
    case.on(respond(200, completion(f"Write to {SECRET}!")))
    answer = case.post()
    assert answer.content == completion("Write to [email]!")
    assert int(answer.headers.get("content-length", len(answer.content))) == len(answer.content)


def test_streamed_answer_is_redacted_across_events(case: Case) -> None:
    case.on(chunked(200, events("Write to ja", "ne.d", "oe@exam", "ple.c", "om", ", or not.")))
    answer = case.post(stream=True)
    assert texts(answer.content) == "Write to [email], or not."
    assert b"jane" not in answer.content
    assert case.log()["outcome"] == "redact"


def test_sdk_reads_a_redacted_stream(case: Case) -> None:
    case.on(chunked(200, events("Write to jane.", "doe@example.com")))
    assert joined(case.chat(stream=True)) == "Write to [email]"


def test_chunks_cut_anywhere_change_nothing(plain_case: Case) -> None:
    whole = b"".join(events("Write to ja", "ne.doe@example.c", "om and go."))
    parts = [whole[at : at + 7] for at in range(0, len(whole), 7)]
    plain_case.on(chunked(200, parts))
    answer = plain_case.post(stream=True)
    assert texts(answer.content) == "Write to [email] and go."


def test_tool_call_arguments_stay_json(case: Case) -> None:
    arguments = json.dumps({"to": SECRET, "text": f'quoted " and {SECRET}', "n": 1})
    case.on(respond(200, completion(None, [("send", arguments)])))
    call = case.chat().choices[0].message.tool_calls[0]
    assert json.loads(call.function.arguments) == {"to": "[email]", "text": 'quoted " and [email]', "n": 1}


def test_streamed_tool_call_arguments_stay_json(case: Case) -> None:
    arguments = json.dumps({"to": SECRET, "text": f'quoted " and {SECRET}', "n": 1})
    case.on(chunked(200, call_events("send", [arguments[at : at + 5] for at in range(0, len(arguments), 5)])))
    found = [each.choices[0].delta.tool_calls for each in case.chat(stream=True)]
    whole = "".join(calls[0].function.arguments for calls in found if calls)
    assert json.loads(whole) == {"to": "[email]", "text": 'quoted " and [email]', "n": 1}


# audit


@pytest.mark.parametrize("stream", [False, True])
def test_audit_touches_nothing(case: Case, stream: bool) -> None:
    sent = events("plu", "gh fro", "tz") if stream else [completion("plugh frotz")]
    case.on(chunked(200, sent, [("content-type", "text/event-stream" if stream else "application/json")]))
    answer = case.post("say plugh", stream=stream)
    assert answer.content == b"".join(sent)
    assert case.one().json() == case.body("say plugh", stream=stream)
    line = case.log()
    assert line["outcome"] == "audit"
    assert {(each["policy"], each["outcome"], each["count"]) for each in line["verdicts"]} == {
        ("watched", "audit", 2),
        ("would-block", "audit", 1),
    }


# block


@pytest.mark.parametrize("stream", [False, True])
def test_blocked_request(case: Case, stream: bool) -> None:
    answer = case.post("say xyzzy now", stream=stream)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-should-retry"] == "false"
    error = answer.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("policy_violation", "forbidden", None)
    assert "xyzzy" not in answer.text + str(answer.headers)
    case.nothing_sent()
    line = case.log()
    assert (line["end"], line["outcome"], line["error"], line["status"]) == ("blocked", "block", "forbidden", 400)
    assert "xyzzy" not in json.dumps(line)


@pytest.mark.parametrize("stream", [False, True])
def test_sdk_raises_for_a_blocked_request(case: Case, stream: bool) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        case.chat("say xyzzy", stream=stream)
    assert (raised.value.code, raised.value.type) == ("forbidden", "policy_violation")
    case.nothing_sent()


def test_sdk_does_not_retry_a_block(plain_case: Case) -> None:
    client = plain_case.sdk().with_options(max_retries=2)
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "xyzzy"}])
    assert plain_case.log()["status"] == 400
    assert len([each for each in plain_case.gateway.lines() if each.get("request_id") == plain_case.id]) == 1


def test_whole_answer_is_blocked(case: Case) -> None:
    case.on(respond(200, completion("Once in a Blue Moon it is xyzzy.")))
    answer = case.post()
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("policy_violation", "forbidden")
    assert "xyzzy" not in answer.text
    assert "Once" not in answer.text
    assert case.log()["end"] == "blocked"


def test_stream_is_blocked_before_the_first_byte(case: Case) -> None:
    case.on(chunked(200, events("xy", "zzy", " and more")))
    answer = case.post(stream=True)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "forbidden"
    assert "zzy" not in answer.text


def test_sdk_raises_before_a_stream(case: Case) -> None:
    case.on(chunked(200, events("xyzzy")))
    with pytest.raises(openai.BadRequestError):
        case.chat(stream=True)


def test_stream_is_blocked_in_the_middle(case: Case) -> None:
    gate = Gate()
    first = event({"content": "All is well. "})
    case.on(chunked(200, [OPENING, first, event({"content": "It is xyz"}), event({"content": "zy now"}), gate, DONE]))
    answer = case.post(stream=True)
    assert answer.status_code == 200
    assert texts(answer.content) == "All is well. It is "
    assert b"xyz" not in answer.content
    assert answer.content.startswith(OPENING + first)
    *_, error, done = answer.content.strip().split(b"\n\n")
    assert json.loads(error[6:])["error"]["code"] == "forbidden"
    assert done == b"data: [DONE]"
    # the provider is told to stop, although it never finished: the gate is still closed
    assert case.one().ended.wait(5)
    gate.open()
    assert case.log()["end"] == "blocked"


def test_sdk_raises_in_the_middle_of_a_stream(case: Case) -> None:
    gate = Gate()
    case.on(chunked(200, [OPENING, event({"content": "All is well. "}), event({"content": "xyzzy now"}), gate]))
    got = ""
    with pytest.raises(openai.APIError) as raised:  # noqa: PT012
        for each in case.chat(stream=True):
            got += each.choices[0].delta.content or ""
    assert got == "All is well. "
    assert "forbidden" in str(raised.value)
    assert "xyzzy" not in str(raised.value) + repr(raised.value.body)
    assert case.one().ended.wait(5)
    gate.open()


def test_a_match_at_the_very_end_is_caught(case: Case) -> None:
    case.on(chunked(200, [OPENING, event({"content": "well, xyzzy"})]))  # no stop, no [DONE]
    answer = case.post(stream=True)
    assert b"xyzzy" not in answer.content
    assert b'"code":"forbidden"' in answer.content


# reply


def test_reply(case: Case) -> None:
    answer = case.chat("please tell me a joke")
    assert answer.choices[0].message.content == "No jokes here."
    assert (answer.object, answer.model, answer.choices[0].finish_reason) == ("chat.completion", "gpt-4o", "stop")
    case.nothing_sent()
    line = case.log()
    assert (line["end"], line["outcome"], line["status"]) == ("replied", "reply", 200)


def test_streamed_reply(case: Case) -> None:
    chunks = list(case.chat("please tell me a joke", stream=True))
    assert joined(chunks) == "No jokes here."
    assert chunks[-1].choices[0].finish_reason == "stop"
    case.nothing_sent()


def test_text_is_released_while_it_streams(case: Case) -> None:
    """What can no longer be part of a match leaves at once: the gate is closed until the client has read it."""
    gate = Gate()
    case.on(
        chunked(200, [OPENING, event({"content": "First words and then "}), gate, event({"content": "last"}), DONE])
    )
    got = ""
    for each in case.chat(stream=True):
        got += each.choices[0].delta.content or ""
        if "First" in got:
            gate.open()
    assert got == "First words and then last"
    assert eventually(lambda: case.one().finished.is_set())
