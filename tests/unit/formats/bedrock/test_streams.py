"""Streams of Converse, the guard's side: tracks, order, usage, endings, and what the gateway says itself."""

import json

import botocore.parsers
import botocore.session
import pytest
from botocore.exceptions import EventStreamError

from extproc.chat.answer import Usage
from extproc.errors import DecodeError
from extproc.exchange.repeats import Repeats
from extproc.framing.aws import NAMED, framed
from extproc.policy.api import Action, Scope
from tests.property.streams import policy, words
from tests.unit.formats.bedrock.support import (
    FORMAT,
    HEAD,
    MAIL,
    TAIL,
    Run,
    answered,
    blocks,
    call,
    delta,
    event,
    sdk,
    stop,
    stream,
    text,
    thoughts,
)

# streams


def test_an_event_has_one_type_and_a_number_that_is_one():
    for value in (
        [],
        None,
        {},
        {"a": {}, "b": {}},
        {"contentBlockDelta": {"delta": {}}},
        {"contentBlockStop": {"contentBlockIndex": "0"}},
        {"contentBlockStop": {"contentBlockIndex": True}},
        {"contentBlockDelta": {"contentBlockIndex": -1}},
        {"contentBlockStop": 7},
    ):
        with pytest.raises(DecodeError):
            FORMAT.delta(value)


def test_a_text_goes_on_in_the_next_block_of_text():
    raw = stream(text(0, "to jane@exa"), text(1, "mple.com", " or not"))
    assert blocks(Run([MAIL], raw).out) == ["to [mail]", " or not"]


def test_a_block_of_another_kind_ends_a_text():
    for other in (call(1, "{}"), thoughts(1, "hm")):
        raw = stream(text(0, "to jane@exa"), other, text(2, "mple.com"))
        assert Run([MAIL], raw).out == raw


def test_thoughts_end_where_the_answer_begins_and_do_not_hold_it_back():
    head = HEAD + thoughts(0, "a thought of jane")
    run = Run([MAIL], head, text(1, "An answer.") + TAIL)
    assert b"jane" not in run.parts[0]
    assert b"An answer" in run.parts[1]
    assert run.out == head + text(1, "An answer.") + TAIL
    assert blocks(Run([MAIL], stream(thoughts(0, "jane@", "x.com"))).out) == [[{"text": "[mail]"}, {"text": ""}]]


def test_arguments_of_a_call_are_one_json_text_each():
    raw = stream(call(0, '{"a":"jane@ex', 'ample.com"}'), call(1, '{"b":"jane@ex', 'ample.com"}'))
    assert [json.loads(each["input"]) for each in blocks(Run([MAIL], raw).out)] == [{"a": "[mail]"}, {"b": "[mail]"}]


def test_what_a_text_cites_does_not_end_it():
    cited = delta(0, citation={"title": "about jane@example.com", "location": {"web": {"url": "a"}}})
    run = Run([MAIL], stream(delta(0, text="to jane@exa"), cited, text(0, "mple.com")))
    assert b"jane" not in run.out
    assert blocks(stream(text(0, "to jane@exa"))) == ["to jane@exa"]


def test_results_of_tools_that_bedrock_ran():
    result = event(
        "contentBlockStart", {"contentBlockIndex": 0, "start": {"toolResult": {"toolUseId": "a", "type": "x"}}}
    )
    said = delta(0, toolResult=[{"json": {"id": "jane@example.com", "p": "bob@example.com"}}]) + delta(
        0, toolResult=[{"text": "al@"}]
    )
    out = Run([MAIL], stream(result, said, delta(0, toolResult=[{"text": "b.com"}]), stop(0))).out
    assert b"@" not in out
    scopes = {
        piece.scope
        for piece in FORMAT.delta(
            {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"toolResult": [{"text": "a"}]}}}
        ).pieces
    }
    assert scopes == {Scope.TOOL_OUTPUT}


@pytest.mark.parametrize(
    ("value", "telling", "final"),
    [
        ({"messageStart": {"role": "assistant", "p": "abc"}}, False, False),
        ({"contentBlockStart": {"contentBlockIndex": 0, "start": {"toolUse": {"name": "f"}}}}, True, False),
        ({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": ""}}}, False, False),
        ({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "a"}}}, True, False),
        ({"contentBlockStop": {"contentBlockIndex": 0}}, True, False),
        ({"messageStop": {"stopReason": "end_turn"}}, True, True),
        ({"metadata": {"usage": {}}}, True, False),
        ({"throttlingException": {"message": "slow"}}, True, False),
    ],
)
def test_the_order_of_events_is_kept(value, telling, final):
    found = FORMAT.delta(value)
    assert (found.telling, found.final, found.lane) == (telling, final, "answer")


def test_repeated_events_are_understood_without_being_parsed_whatever_their_padding():
    repeats = Repeats(FORMAT)
    said = [
        ("contentBlockDelta", {"text": "one"}),
        ("contentBlockDelta", {"text": "two"}),
        ("contentBlockDelta", {"reasoningContent": {"text": "no"}}),
        ("messageStop", {"text": "x"}),
    ]
    values = [
        (name, {"contentBlockIndex": 0, "delta": each, "p": "abcdefghijklm"[: 3 * number + 1]})
        for number, (name, each) in enumerate(said)
    ]
    raw = b"".join([framed(name, json.dumps(value, separators=(",", ":")).encode()) for name, value in values])
    first, second, other, last = NAMED.reader(1 << 20).feed(raw)
    value = json.loads(first.data)
    repeats.learn(first.data, value, FORMAT.delta(value))
    known = repeats.find(second.data)
    assert known == FORMAT.delta(json.loads(second.data))
    assert known.pieces[0].text == "two"
    assert repeats.find(other.data) is None
    assert repeats.find(last.data) is None  # another type of event that looks the same


def test_usage_is_what_bedrock_counted():
    usage = {
        "inputTokens": 2,
        "outputTokens": 5,
        "totalTokens": 1329,
        "cacheReadInputTokens": 22,
        "cacheWriteInputTokens": 1300,
    }
    assert FORMAT.usage({"usage": usage}) == FORMAT.usage({"metadata": {"usage": usage}}) == Usage(1324, 5, 22, 0, 1300)
    assert FORMAT.usage({"usage": {"inputTokens": "2", "outputTokens": -1, "cacheReadInputTokens": True}}) == Usage()
    assert (
        FORMAT.usage({"usage": 1})
        is FORMAT.usage([])
        is FORMAT.usage({"metadata": 7})
        is FORMAT.usage({"inputTokens": 3})
        is None
    )
    assert Run([MAIL], stream(text(0, "a"))).meter.usage == Usage(5, 7)


# what the gateway says


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "ValidationException"),
        (401, "AccessDeniedException"),
        (403, "AccessDeniedException"),
        (404, "ResourceNotFoundException"),
        (413, "ValidationException"),
        (422, "ValidationException"),
        (429, "ThrottlingException"),
        (451, "ValidationException"),
        (500, "InternalServerException"),
        (502, "ServiceUnavailableException"),
        (503, "ServiceUnavailableException"),
        (504, "ServiceUnavailableException"),
    ],
)
def test_an_error_is_one_to_the_sdk(status, name):
    raw = FORMAT.error(status, "blocked", 'say "no"', "policy_violation")
    error = answered(raw, status, FORMAT.error_headers(status))["Error"]
    assert (error["Code"], error["Message"]) == (name, 'say "no"')
    assert json.loads(raw) == {"message": 'say "no"'}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("policy_violation", "validationException"),
        ("api_error", "internalServerException"),
        ("upstream_error", "modelStreamErrorException"),
        ("rate_limit_error", "throttlingException"),
    ],
)
def test_an_error_in_a_stream_raises_in_the_sdk(kind, name):
    with pytest.raises(EventStreamError) as caught:
        sdk(HEAD + FORMAT.error_event("blocked", "no\nmore", kind))
    assert caught.value.response["Error"] == {"Code": name, "Message": "no\nmore"}


@pytest.mark.parametrize(("refuses", "reason"), [(False, "end_turn"), (True, "guardrail_intervened")])
def test_a_reply_is_a_whole_answer_to_the_sdk(refuses, reason):
    found = answered(FORMAT.reply('no "jokes"', "m", "r1", 17, refuses=refuses))
    assert found["output"] == {"message": {"role": "assistant", "content": [{"text": 'no "jokes"'}]}}
    assert (found["stopReason"], found["usage"]["totalTokens"], found["metrics"]["latencyMs"]) == (reason, 0, 0)
    raw = FORMAT.reply_stream('no "jokes"', "m", "r1", 17, refuses=refuses)
    assert blocks(raw) == ['no "jokes"']
    assert dict(sdk(raw))["messageStop"] == {"stopReason": reason}
    assert dict(sdk(raw))["metadata"]["usage"]["totalTokens"] == 0
    assert blocks(FORMAT.reply_stream("", "m", "r1", 17)) == []
    assert answered(FORMAT.reply("", "m", "r1", 17))["output"]["message"]["content"] == []


def test_the_list_of_models():
    control = botocore.session.get_session().get_service_model("bedrock")
    parser = botocore.parsers.create_parser("rest-json")
    shape = control.operation_model("ListFoundationModels").output_shape
    found = parser.parse({"status_code": 200, "headers": {}, "body": FORMAT.models(["a", "b"])}, shape)
    assert [each["modelId"] for each in found["modelSummaries"]] == ["a", "b"]
    shape = control.operation_model("GetFoundationModel").output_shape
    found = parser.parse({"status_code": 200, "headers": {}, "body": FORMAT.model_card("a")}, shape)
    assert found["modelDetails"]["modelId"] == "a"


BODIES = [
    text(0, "one", " two"),
    thoughts(0, "hm", "so") + text(1, "one"),
    call(0, '{"a":', "1}") + text(1, "x") + call(2, "{}"),
    b"",
]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("said", ["", "It was stopped."])
def test_a_stream_can_be_ended_anywhere(body, said):
    events = list(NAMED.reader(1 << 20).feed(stream(body)))
    for count in range(len(events) + 1):
        ending = FORMAT.ending()
        for each in events[:count]:
            ending.see(json.loads(each.data))
        before = b"".join(each.raw for each in events[:count])
        raw = before + ending.end(said)
        names = [name for name, _ in sdk(raw)]
        assert names.count("messageStop") == 1
        stopped = b"messageStop" in before
        if stopped:
            assert raw == before
            continue
        assert names[-1] == "messageStop"
        assert sdk(raw)[-1][1] == {"stopReason": "guardrail_intervened"}
        found = blocks(raw)
        assert not said or found[-1] == said


def test_an_ending_ignores_what_is_no_event():
    ending = FORMAT.ending()
    for value in (
        None,
        [],
        {},
        {"a": 1, "b": 2},
        {"contentBlockDelta": 7},
        {"contentBlockDelta": {"contentBlockIndex": "x"}},
    ):
        ending.see(value)
    assert [name for name, _ in sdk(ending.end(""))] == ["messageStart", "messageStop"]


def test_a_block_ends_a_stream_as_its_policy_says():
    raw = stream(text(0, "a word and", " zyzzyva"))
    with pytest.raises(EventStreamError):
        sdk(Run([policy("p", words("zyzzyva"), action=Action.BLOCK)], raw).out)
