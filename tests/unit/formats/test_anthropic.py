"""Anthropic messages: no string of any recorded request, answer or event escapes; scopes, order, usage, errors, replies."""

import json
from dataclasses import replace

import anthropic
import httpx2
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, ModelInfo, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from extproc.chat.answer import Usage
from extproc.errors import DecodeError
from extproc.exchange.repeats import Repeats
from extproc.exchange.streamed import GuardedStream
from extproc.exchange.whole import inspect
from extproc.formats.anthropic import AnthropicCount, AnthropicMessages
from extproc.formats.anthropic.texts import BLOBS, SKIP
from extproc.framing.sse import EventStream
from extproc.policy.api import Action, Outcome, Phase, Scope, Style, Tally
from extproc.policy.chain import Chain
from extproc.usage import Meter
from tests.golden.anthropic_wire import answers, raw_streams, requests, streams
from tests.property.streams import policy, regex, words
from tests.property.test_placement import MARKER, WORD, strings, variants

FORMAT = AnthropicMessages()
EVENTS = TypeAdapter(RawMessageStreamEvent)

STRUCTURE = {
    "names that the API gives to things, and takes back": {
        "id", "model", "tool_use_id", "tool_id", "file_id", "container", "request_id", "recommended_model",
        "anthropic_version",
    },
    "one of a few words that the API knows; others it refuses": {
        "type", "role", "stop_reason", "media_type", "ttl", "service_tier", "effort", "display", "inference_geo", "speed",
        "error_code", "category",
    },
    "points in time": {"expires_at", "retrieved_at"},
}  # fmt: skip
"""Where one short token is not looked at."""


def test_the_list_of_structure_is_the_codes():
    assert frozenset().union(*STRUCTURE.values()) == SKIP


# placement


def unseen(at, new):
    """Whether nobody has to look at this place for this; what a tool is given has no names that are known."""
    name = next((key for key in reversed(at) if isinstance(key, str)), "")
    return new == WORD and name in SKIP and "input" not in at and "input_examples" not in at


def check(values, spans):
    count = 0
    for file, value in values:
        for at, new, changed in variants(value):
            found = [each.text for each in spans(changed) if each.path == at]
            assert new in found or unseen(at, new), (file, at, new)
            count += 1
    return count


@pytest.mark.data
def test_no_string_of_a_recorded_request_escapes():
    assert check(requests(), FORMAT.request_spans) > 2000
    assert check(requests()[:5], AnthropicCount().request_spans) > 100


@pytest.mark.data
def test_no_string_of_a_recorded_answer_escapes():
    assert check(answers(), FORMAT.response_spans) > 2000


@pytest.mark.data
def test_no_string_of_a_recorded_event_escapes():
    values = [(name, json.loads(event)) for name, events in streams() for event in [*events[:40], *events[-3:]]]
    assert check(values, lambda event: FORMAT.delta(event).pieces) > 2000


@pytest.mark.parametrize("name", sorted(BLOBS))
def test_binary_data_is_no_text_and_anything_else_in_its_place_is(name):
    def found(value):
        return [span.text for span in FORMAT.response_spans({"content": [{"type": "new", name: value}]})]

    assert found("QUJD" * 30) == []
    assert found(MARKER) == [MARKER]
    assert found("short") == ["short"]


NAMES = st.sampled_from(
    ["", "content", "messages", "system", "tools", "input", "source", "type", "role", "delta", "content_block", "message",
     "index", "text", "thinking", "data", "error", "usage"]
)  # fmt: skip
ANY = st.recursive(
    st.sampled_from(["a b", None, True, 0, 7, "text", "content_block_delta"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(NAMES, ANY, max_size=5))
def test_no_prose_escapes_wherever_it_stands(body):
    wanted = {at for at in strings(body) if value_at(body, at) == "a b"}
    assert wanted <= {span.path for span in FORMAT.request_spans(body)}
    assert wanted <= {span.path for span in FORMAT.response_spans(body)}
    FORMAT.unscanned(body)
    FORMAT.usage(body)
    try:
        assert wanted <= {piece.path for piece in FORMAT.delta(body).pieces}
    except DecodeError:
        assert str(body.get("type")).startswith("content_block")  # one without a number


def value_at(value, at):
    for key in at:
        value = value[key]
    return value


@pytest.mark.parametrize("body", [[], ["a b"], "a b", None, 1, {"content": "a b"}, {"content": ["a b", None, 3]}])
def test_any_json_has_its_strings_found(body):
    assert [span.path for span in FORMAT.response_spans(body)] == list(strings(body))
    assert [piece.path for piece in FORMAT.delta(body).pieces] == list(strings(body))


# scopes

REQUEST = {
    "model": "m",
    "system": [{"type": "text", "text": "1"}],
    "messages": [
        {"role": "user", "content": "2"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "3", "signature": "4 4"},
                {"type": "redacted_thinking", "data": "5 5"},
                {"type": "text", "text": "6", "citations": [{"type": "char_location", "cited_text": "7"}]},
                {"type": "tool_use", "id": "c", "name": "8", "input": {"id": "9", "a": {"type": "10"}}},
                {"type": "server_tool_use", "id": "s", "name": "11", "input": {"query": "12"}},
                {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"title": "13"}]},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "14"}]},
                {"type": "document", "source": {"type": "text", "data": "15"}, "title": "16", "context": "17"},
                {"type": "text", "text": "18"},
            ],
        },
        {"role": "system", "content": "19"},
        {"role": "strange", "content": "20"},
        "21",
    ],
    "tools": [{"name": "22", "description": "23", "input_schema": {"properties": {"a": {"description": "24"}}}}],
    "output_config": {"format": {"type": "json_schema", "schema": {"title": "25"}}},
    "metadata": {"user_id": "26"},
    "stop_sequences": ["27"],
}


def test_whose_words_a_requests_texts_are():
    s, u, a, r, i, o = Scope.SYSTEM, Scope.USER, Scope.ASSISTANT, Scope.REASONING, Scope.TOOL_INPUT, Scope.TOOL_OUTPUT
    found = {span.text: span.scope for span in FORMAT.request_spans(REQUEST)}
    assert found == {
        "1": s, "2": u, "3": r, "4 4": r, "5 5": r, "6": a, "7": a, "8": i, "9": i, "10": i, "11": i, "12": i, "13": o,
        "14": o, "15": u, "16": u, "17": u, "18": u, "19": s, "20": u, "21": u, "22": s, "23": s, "24": s, "25": s,
        "26": u, "27": u,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("block", "delta", "scope"),
    [
        ({"type": "text", "text": "a b"}, {"type": "text_delta", "text": "a b"}, Scope.ASSISTANT),
        ({"type": "thinking", "thinking": "a b"}, {"type": "thinking_delta", "thinking": "a b"}, Scope.REASONING),
        (
            {"type": "tool_use", "input": {"x": "a b"}},
            {"type": "input_json_delta", "partial_json": "a b"},
            Scope.TOOL_INPUT,
        ),
        ({"type": "new", "new": "a b"}, {"type": "new_delta", "new": "a b"}, Scope.ASSISTANT),
    ],
)
def test_a_stream_and_a_whole_answer_agree_on_scopes(block, delta, scope):
    (whole,) = FORMAT.response_spans({"content": [block]})
    (begun,) = FORMAT.delta({"type": "content_block_start", "index": 0, "content_block": block}).pieces
    (piece,) = FORMAT.delta({"type": "content_block_delta", "index": 0, "delta": delta}).pieces
    assert whole.scope is begun.scope is piece.scope is scope


def test_what_cannot_be_scanned_is_named():
    def image(**source):
        return {"type": "image", "source": source}

    def document(**source):
        return {"type": "document", "source": source}

    def kinds(*content):
        return FORMAT.unscanned({"messages": [{"role": "user", "content": list(content)}]})

    assert kinds({"type": "text", "text": "a"}, document(type="text", data="a")) == []
    assert kinds(image(type="url", url="u")) == ["image"]
    assert kinds(document(type="base64", data="a")) == ["file"]
    assert kinds({"type": "container_upload", "file_id": "f"}) == ["file"]
    assert kinds({"type": "tool_result", "content": [image(type="base64", data="a")]}) == ["image"]
    assert kinds(document(type="content", content=[image(type="base64", data="a")])) == ["image"]
    assert FORMAT.unscanned({"messages": "a"}) == FORMAT.unscanned({"messages": [1, {"content": 5}]}) == []


# streams


def start(index, **block):
    return {"type": "content_block_start", "index": index, "content_block": block}


def go_on(index, **delta):
    return {"type": "content_block_delta", "index": index, "delta": delta}


def stop(index):
    return {"type": "content_block_stop", "index": index}


def text(index, *texts):
    return [
        start(index, type="text", text=""),
        *[go_on(index, type="text_delta", text=each) for each in texts],
        stop(index),
    ]


def thoughts(index, *texts):
    deltas = [go_on(index, type="thinking_delta", thinking=each) for each in texts]
    return [start(index, type="thinking", thinking="", signature=""), *deltas, stop(index)]


def call(index, *pieces, name="look"):
    head = start(index, type="tool_use", id=f"toolu_{index}", name=name, input={})
    return [head, *[go_on(index, type="input_json_delta", partial_json=each) for each in pieces], stop(index)]


HEAD = {
    "type": "message_start",
    "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None,
        "stop_sequence": None, "usage": {"input_tokens": 11, "output_tokens": 2},
    },
}  # fmt: skip
TAIL = [
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 9},
    },
    {"type": "message_stop"},
]


def sse(*events):
    return b"".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in events)


def stream(*blocks):
    return sse(HEAD, *[event for block in blocks for event in block], *TAIL)


class Run:
    """A stream through the guard; ``message`` is what the SDK makes of it."""

    def __init__(self, policies, *pieces):
        self.meter = Meter(FORMAT)
        self.stream = GuardedStream(FORMAT, Chain(policies), Tally(), self.meter, 1 << 20, 1 << 20)
        self.parts = [self.stream.feed(piece) for piece in pieces]
        self.parts.append(self.stream.close())
        self.out = b"".join(self.parts)


def sdk(raw, *, checked=True):
    """What the SDK makes of a stream; ``checked``: of events that are exactly as it knows them."""
    message = None
    buffers = {}
    for event in read(raw):
        if event["type"] != "ping":
            event = EVENTS.validate_python(event) if checked else event
            message = accumulate_event(event=event, current_snapshot=message, json_bufs=buffers)
    return message


def read(raw):
    reader = EventStream(1 << 20)
    found = [*reader.feed(raw), *reader.close()]
    assert all(json.loads(each.data)["type"] == each.name for each in found)
    return [json.loads(each.data) for each in found]


MAIL = policy("mail", regex(r"\b[a-z.]{1,20}@[a-z]{1,20}\.com\b", "[mail]"))


def test_neighbouring_blocks_of_text_are_one_text():
    run = Run([MAIL], stream(text(0, "to jane@exa"), text(1, "mple.com", " or not")))
    assert [block.text for block in sdk(run.out).content] == ["to [mail]", " or not"]


def test_a_block_of_another_kind_ends_a_text():
    run = Run([MAIL], stream(text(0, "to jane@exa"), call(1, "{}"), text(2, "mple.com")))
    assert run.out == stream(text(0, "to jane@exa"), call(1, "{}"), text(2, "mple.com"))


def test_thoughts_do_not_hold_back_what_comes_after():
    raw = stream(thoughts(0, "a thought of jane"), text(1, "An answer."))
    pieces = raw.partition(b'event: content_block_start\ndata: {"type": "content_block_start", "index": 1')
    run = Run([MAIL], pieces[0], pieces[1] + pieces[2])
    assert b"jane" not in run.parts[0]
    assert run.out == raw


def test_arguments_of_a_call_are_one_json_text_each():
    run = Run([MAIL], stream(call(0, '{"a":"jane@ex', 'ample.com"}'), call(1, '{"b":"jane@ex', 'ample.com"}')))
    assert [block.input for block in sdk(run.out).content] == [{"a": "[mail]"}, {"b": "[mail]"}]


@pytest.mark.parametrize(
    "blocks", [[text(0, "to jane@example.com now")], [thoughts(0, "jane@", "example.com"), text(1, "x")]]
)
def test_what_is_redacted_does_not_depend_on_the_cut(blocks):
    raw = stream(*blocks)
    wanted = Run([MAIL], raw).out
    assert b"[mail]" in wanted
    assert Run([MAIL], *[raw[at : at + 1] for at in range(len(raw))]).out == wanted
    for at in range(1, len(raw)):
        assert Run([MAIL], raw[:at], raw[at:]).out == wanted


def test_results_and_citations_are_complete_texts_that_nobody_joins():
    result = start(0, type="web_search_tool_result", content=[{"title": "of jane@exa"}, {"title": "mple.com"}])
    cited = [go_on(1, type="citations_delta", citation={"cited_text": each}) for each in ("by jane@exa", "mple.com is")]
    raw = sse(HEAD, result, stop(0), start(1, type="text", text=""), *cited, stop(1), *TAIL)
    run = Run([policy("mail", *MAIL.rules, action=Action.BLOCK)], raw)
    assert run.out == raw


@pytest.mark.data
def test_recorded_streams_leave_as_they_came():
    silent = policy("silent", words("the quick brown zyzzyva", "zyzzyva"))
    count = 0
    for name, raw in raw_streams():
        assert Run([silent], raw).out == raw, name
        assert Run([silent], *[raw[at : at + 7] for at in range(0, len(raw), 7)]).out == raw, name
        count += 1
    assert count >= 8


@pytest.mark.data
def test_recorded_streams_are_redacted_as_whole_answers_are():
    rule = words("the")
    count = 0
    for name, raw in raw_streams():
        before, after = sdk(raw, checked=False), sdk(Run([policy("p", rule)], raw).out, checked=False)
        for old, new in zip(before.content, after.content, strict=True):
            if old.type == "text" and all(each.type != "text" for each in before.content if each is not old):
                body = json.dumps({"content": [{"type": "text", "text": old.text}]}).encode()
                _, redacted = inspect(
                    FORMAT, Chain([policy("p", rule)]), Phase.RESPONSE, body, json.loads(body), Tally()
                )
                assert new.text == json.loads(redacted)["content"][0]["text"], name
                count += new.text != old.text
    assert count >= 1


@pytest.mark.parametrize(
    ("event", "telling", "final", "closes"),
    [
        (HEAD, False, False, ()),
        ({"type": "ping"}, False, False, ()),
        (start(0, type="text", text=""), False, False, ("thinking",)),
        (start(0, type="text", text="a"), True, False, ("thinking",)),
        (start(0, type="thinking", thinking="", signature=""), False, False, ("text",)),
        (start(0, type="redacted_thinking", data="QUJD" * 30), True, False, ("text", "thinking")),
        (start(0, type="tool_use", id="t", name="n", input={}), True, False, ("text", "thinking")),
        (go_on(0, type="text_delta", text="a"), True, False, ()),
        (go_on(0, type="signature_delta", signature="QUJD" * 30), True, False, ()),
        (stop(0), True, False, (("partial_json", 0),)),
        (TAIL[0], True, True, ("text", "thinking")),
        (TAIL[1], True, True, ("text", "thinking")),
        ({"type": "error", "error": {"type": "api_error", "message": "a"}}, True, True, ("text", "thinking")),
        ({"type": "new"}, True, False, ()),
    ],
)
def test_the_order_of_events(event, telling, final, closes):
    delta = FORMAT.delta(event)
    assert (delta.telling, delta.final, delta.lane, delta.after) == (telling, final, "message", None)
    assert set(closes) <= set(delta.closes)
    assert ("text" in delta.closes) == ("text" in closes)


@pytest.mark.parametrize("index", [None, "0", 0.0, -1, True, [0]])
def test_a_block_without_a_number_is_refused(index):
    for event in (start(0, type="text", text=""), go_on(0, type="text_delta", text="a"), stop(0)):
        with pytest.raises(DecodeError):
            FORMAT.delta({**event, "index": index})


def test_events_that_differ_in_a_text_are_known_again_whatever_blanks_they_end_with():
    repeats = Repeats(FORMAT)
    first = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}   }'
    delta = FORMAT.delta(json.loads(first))
    repeats.learn(first, json.loads(first), delta)
    again = repeats.find(b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\u00e9 b"} }')
    assert again.pieces[0].text == "é b"
    assert repeats.find(b'{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"b"}}') is None
    for data in (b'"}  ,"x":1}', b'"  ', b"", b'"} }x'):
        assert json_equal(FORMAT.without_padding(data), data)


def json_equal(one, other):
    return one.replace(b" ", b"") == other.replace(b" ", b"")


# what a body says about itself


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({"usage": {"input_tokens": 5, "output_tokens": 7}}, Usage(5, 7)),
        (
            {
                "usage": {
                    "input_tokens": 5,
                    "output_tokens": 7,
                    "cache_read_input_tokens": 100,
                    "cache_creation_input_tokens": 30,
                    "output_tokens_details": {"thinking_tokens": 3},
                }
            },
            Usage(135, 7, 100, 3, 30),
        ),
        (HEAD, Usage(11, 2)),
        (TAIL[0], Usage(0, 9)),
        ({"usage": {"input_tokens": "5", "output_tokens": -1, "cache_read_input_tokens": True}}, Usage()),
        ({"usage": None}, None),
        ({"message": 3}, None),
        ([], None),
        (None, None),
    ],
)
def test_usage_is_what_the_provider_counted(body, wanted):
    assert FORMAT.usage(body) == wanted


def test_usage_of_a_stream_is_put_together():
    run = Run([], stream(text(0, "a")))
    assert run.meter.usage == Usage(11, 9)


def test_model_and_stream_are_read_strictly():
    assert FORMAT.model({"model": "m"}) == "m"
    assert FORMAT.model({"model": 1}) is FORMAT.model({}) is None
    assert [FORMAT.streamed({"stream": value}) for value in (True, False, None, 1, "true")] == [True] + [False] * 4


def test_a_count_of_tokens_is_no_stream_and_uses_nothing():
    count = AnthropicCount()
    assert not count.streamed({"stream": True})
    assert count.usage({"input_tokens": 5}) is count.usage({"usage": {"input_tokens": 5}}) is count.codec is None
    assert (
        json.loads(count.reply("no", "m", "r", 1))
        == json.loads(count.reply_stream("no", "m", "r", 1))
        == {"input_tokens": 0}
    )
    assert {span.text for span in count.request_spans(REQUEST)} == {span.text for span in FORMAT.request_spans(REQUEST)}


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


STOP = policy("stop", words("forbidden"), action=Action.BLOCK)


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
        answer(block_text("one jane@example.com"), block_text("two forbidden three"), block_text("four")), MAIL
    )
    assert [block.text for block in found.content] == ["one [mail]", "two ", ""]
    assert (found.stop_reason, found.stop_sequence) == ("refusal", None)


def test_what_the_first_cut_took_away_stays_away():
    blocks = [
        block_text("one forbidden"),
        block_text("two"),
        block_text("three forbidden"),
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
