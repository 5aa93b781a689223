"""What is said to clients of messages: errors, replies, lists, ends of streams, cuts of answers."""

import json
from dataclasses import replace

import anthropic
import httpx2
import pytest
from anthropic.types import Message, ModelInfo

from extproc.exchange.whole import inspect
from extproc.policy.api import Outcome, Phase, Style, Tally
from extproc.policy.chain import Chain
from tests.unit.formats.anthropic.support import (
    FORMAT,
    HEAD,
    MAIL,
    STOP,
    TAIL,
    Run,
    call,
    read,
    sdk,
    sse,
    start,
    stop,
    stream,
    text,
    thoughts,
)

# what we say


def client(handler):
    transport = httpx2.MockTransport(handler)
    return anthropic.Anthropic(
        api_key="k", base_url="http://gateway", max_retries=0, http_client=httpx2.Client(transport=transport)
    )


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (401, anthropic.AuthenticationError, "authentication_error"),
        (403, anthropic.PermissionDeniedError, "permission_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
        (413, anthropic.APIStatusError, "request_too_large"),
        (422, anthropic.UnprocessableEntityError, "invalid_request_error"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (502, anthropic.InternalServerError, "api_error"),
        (503, anthropic.APIStatusError, "overloaded_error"),
        (504, anthropic.APIStatusError, "timeout_error"),
    ],
)
def test_the_sdk_raises_what_an_error_is(status, error, kind):
    body = FORMAT.error(status, "blocked", 'say "no"', "policy_violation")
    with (
        client(lambda _: httpx2.Response(status, content=body, headers={"content-type": "application/json"})) as sdk,
        pytest.raises(error) as raised,
    ):
        sdk.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "a"}])
    assert raised.value.body == {"type": "error", "error": {"type": kind, "message": 'say "no"'}}
    assert FORMAT.error_headers(status) == ()


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("policy_violation", "invalid_request_error"),
        ("invalid_request_error", "invalid_request_error"),
        ("upstream_error", "api_error"),
        ("api_error", "api_error"),
    ],
)
def test_the_sdk_raises_on_an_error_in_a_stream(kind, wanted):
    raw = sse(HEAD, *text(0, "a")) + FORMAT.error_event("blocked", "no\nmore", kind)
    kinds = ["message_start", "content_block_start", "content_block_delta", "content_block_stop"]
    with client(lambda _: httpx2.Response(200, content=raw, headers={"content-type": "text/event-stream"})) as sdk:
        messages = [{"role": "user", "content": "a"}]
        seen = iter(sdk.messages.create(model="m", max_tokens=1, messages=messages, stream=True))
        assert [next(seen).type for _ in kinds] == kinds
        with pytest.raises(anthropic.APIStatusError) as raised:
            next(seen)
    assert raised.value.body["error"] == {"type": wanted, "message": "no\nmore"}


@pytest.mark.parametrize(("refuses", "reason"), [(False, "end_turn"), (True, "refusal")])
def test_a_reply_is_a_whole_answer_to_the_sdk(refuses, reason):
    answer = Message.model_validate_json(FORMAT.reply('no "jokes"', "m", "r1", 17, refuses=refuses))
    assert (answer.id, answer.model, answer.stop_reason, answer.usage.output_tokens) == ("msg_r1", "m", reason, 0)
    assert [block.text for block in answer.content] == ['no "jokes"']
    streamed = sdk(FORMAT.reply_stream('no "jokes"', "m", "r1", 17, refuses=refuses))
    assert (streamed.id, streamed.model, streamed.stop_reason) == ("msg_r1", "m", reason)
    assert [block.text for block in streamed.content] == ['no "jokes"']


def test_a_reply_without_a_word_has_no_block():
    assert Message.model_validate_json(FORMAT.reply("", "m", "r1", 17, refuses=True)).content == []
    assert sdk(FORMAT.reply_stream("", "m", "r1", 17, refuses=True)).content == []


def test_the_list_of_models():
    page = json.loads(FORMAT.models(["a", "b"]))
    assert [ModelInfo.model_validate(each).id for each in page["data"]] == ["a", "b"]
    assert (page["first_id"], page["last_id"], page["has_more"]) == ("a", "b", False)
    assert json.loads(FORMAT.models([])) == {"data": [], "has_more": False, "first_id": None, "last_id": None}
    assert ModelInfo.model_validate_json(FORMAT.model_card("a")).display_name == "a"


# ends


def endings():
    events = [HEAD, *thoughts(0, "hm"), *text(1, "a", "b"), *call(2, '{"a":1', "}"), *TAIL]
    return [(events[:count], said) for count in range(len(events) + 1) for said in ("", "no more")]


@pytest.mark.parametrize(("events", "said"), endings())
def test_a_stream_ends_well_wherever_it_is_ended(events, said):
    ending = FORMAT.ending()
    for event in events:
        ending.see(event)
    raw = sse(*events) + ending.end(said)
    message = sdk(raw)
    kinds = [event["type"] for event in read(raw)]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("message_stop") == kinds.count("message_delta") == 1
    assert kinds.count("content_block_start") == kinds.count("content_block_stop")
    told = TAIL[0] in events
    assert message.stop_reason == ("end_turn" if told else "refusal")
    texts = [block.text for block in message.content if block.type == "text"]
    assert ("no more" in texts) == (bool(said) and not told)
    assert message.usage.output_tokens == (9 if told else 2 if events else 0)


@pytest.mark.parametrize(
    "event", [None, [], 3, {}, {"type": 1}, start("0"), start(-1), {"type": "message_start"}, stop(None)]
)
def test_an_ending_follows_anything(event):
    ending = FORMAT.ending()
    ending.see(event)
    begun = sse(HEAD) if isinstance(event, dict) and event.get("type") == "message_start" else b""
    assert sdk(begun + ending.end("no")).content[-1].text == "no"


@pytest.mark.parametrize("style", [Style.ERROR, Style.REFUSAL, Style.TRUNCATE])
def test_a_block_in_a_stream_ends_it_in_the_chosen_style(style):
    run = Run([replace(STOP, style=style)], stream(text(0, "a word, ", "forbidden"), text(1, " more")))
    assert b"forbidden" not in run.out
    if style is Style.ERROR:
        assert read(run.out)[-1]["type"] == "error"
        return
    message = sdk(run.out)
    assert message.stop_reason == "refusal"
    assert message.content[0].text == "a word, "
    assert len(message.content) == (2 if style is Style.REFUSAL else 1)


# cuts of whole answers


def answer(*content):
    return {**HEAD["message"], "content": list(content), "stop_reason": "end_turn", "stop_sequence": "x"}


def truncated(body, *rules):
    raw = json.dumps(body).encode()
    policies = [replace(STOP, style=Style.TRUNCATE), *rules]
    decision, out = inspect(FORMAT, Chain(policies), Phase.RESPONSE, raw, body, Tally())
    assert decision.outcome is Outcome.BLOCK
    return Message.model_validate_json(out)


def block_text(said):
    return {"type": "text", "text": said}


def test_an_answer_is_cut_where_the_match_begins_and_nothing_comes_after():
    found = truncated(
        answer(block_text("one jane@example.com"), block_text(" two forbidden three"), block_text("four")), MAIL
    )
    assert [block.text for block in found.content] == ["one [mail]", " two ", ""]
    assert (found.stop_reason, found.stop_sequence) == ("refusal", None)


def test_what_the_first_cut_took_away_stays_away():
    blocks = [
        block_text("one forbidden"),
        block_text(" two"),
        block_text(" three forbidden"),
        {"type": "new", "x": "forbidden"},
    ]
    found = truncated(answer(*blocks))
    assert [block.text for block in found.content] == ["one ", "", "", ""]


def test_thoughts_are_cut_and_calls_go_as_a_whole():
    thinking = {"type": "thinking", "thinking": "so forbidden", "signature": "QUJD" * 20}
    found = truncated(answer(thinking, block_text("two")))
    assert [block.to_dict() for block in found.content] == [
        {"type": "thinking", "thinking": "so ", "signature": ""},
        {"type": "text", "text": ""},
    ]
    calls = {"type": "tool_use", "id": "t", "name": "n", "input": {"a": ["x", "forbidden"]}}
    assert [block.text for block in truncated(answer(block_text("one"), calls)).content] == ["one", ""]


def test_texts_elsewhere_are_cut_in_place():
    assert FORMAT.cut({"error": {"message": "a b"}}, ("error", "message"), "a") == {("error", "message"): b'"a"'}
    assert FORMAT.echoes({"content": []}, {("content", 0, "text")}) == []
