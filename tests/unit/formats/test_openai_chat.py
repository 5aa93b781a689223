"""OpenAI chat: no string of any recorded request, answer or event escapes; scopes, order, usage, errors and replies."""

import json

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from extproc.formats.base import Usage
from extproc.formats.openai_chat import OpenAIChat
from extproc.framing.sse import EventStream
from extproc.policy.api import Scope
from tests.property.streams import chunk, events, recorded
from tests.support import data
from tests.unit.formats.media import BLOB, PROSE, TOKEN, leaves, name, put

FORMAT = OpenAIChat()

# Names whose value is not looked at while it is one short token, as it always is; any prose under them is.
STRUCTURE = {
    "id", "object", "model", "role", "type", "finish_reason", "native_finish_reason", "system_fingerprint",
    "service_tier", "tool_call_id", "detail", "format",
    "obfuscation", "provider", "reasoning_effort", "verbosity", "effort", "tool_choice", "function_call",
    "modalities", "mime_type", "refusal_reason",
    "prompt_cache_retention",
}  # fmt: skip
# Names whose value is not looked at while it is encoded binary data.
BINARY = {"url", "data", "file_data", "signature", "thought_signature", "encrypted_content"}


def echoed(path):
    """Log probabilities repeat the text; they are dropped with it (``echoes``)."""
    return path[:1] == ("choices",) and path[2:3] == ("logprobs",)


def exchanges():
    for path in sorted(data("wire/openai_chat").glob("*.json")):
        for exchange in json.loads(path.read_text("utf-8"))["exchanges"]:
            yield path.name, exchange


def bodies(side):
    found = []
    for file, exchange in exchanges():
        if exchange[side]["body_encoding"] == "utf8" and exchange[side]["body"]:
            try:
                found.append((file, json.loads(exchange[side]["body"])))
            except ValueError:
                continue  # a stream
    return found


def check(values, spans):
    """Put markers into every string of every value; returns how many there were."""
    count = 0
    for file, value in values:
        for path in leaves(value):
            seen = {each.path: each.text for each in spans(put(value, path, PROSE))}
            assert seen.get(path) == PROSE or echoed(path), (file, path)
            seen = {each.path: each.text for each in spans(put(value, path, TOKEN))}
            assert seen.get(path) == TOKEN or echoed(path) or name(path) in STRUCTURE, (file, path)
            seen = {each.path: each.text for each in spans(put(value, path, BLOB))}
            assert seen.get(path) == BLOB or echoed(path) or name(path) in BINARY, (file, path)
            count += 1
    return count


@pytest.mark.data
def test_no_string_of_a_recorded_request_escapes():
    assert check(bodies("request"), FORMAT.request_spans) > 200


@pytest.mark.data
def test_no_string_of_a_recorded_answer_escapes():
    assert check(bodies("response"), FORMAT.response_spans) > 100


@pytest.mark.data
def test_no_string_of_a_recorded_event_escapes():
    values = [
        (file, event)
        for file, raw in recorded().items()
        if file.startswith(("openai_chat", "other"))
        for event in events(raw)[:60]
    ]
    assert check([each for each in values if isinstance(each[1], dict)], lambda event: FORMAT.delta(event).pieces) > 500


# scopes

REQUEST = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "1"},
        {"role": "developer", "content": [{"type": "text", "text": "2"}]},
        {
            "role": "user",
            "name": "3",
            "content": [{"type": "text", "text": "4"}, {"type": "image_url", "image_url": {"url": "5 6"}}],
        },
        {
            "role": "assistant",
            "content": "7",
            "reasoning_content": "8",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "9", "arguments": "10"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "11"},
        {"role": "function", "name": "12", "content": "13"},
        {"role": "strange", "content": "14"},
        {"content": "15"},
        "16",
        {"role": 7, "content": "17"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "18",
                "description": "19",
                "parameters": {"type": "object", "properties": {"a": {"description": "20"}}},
            },
        }
    ],
    "response_format": {"type": "json_schema", "json_schema": {"name": "21"}},
    "user": "22",
    "stop": ["23"],
    "metadata": {"k": "24"},
    "prediction": {"type": "content", "content": "25"},
}


def test_whose_words_a_requests_texts_are():
    s, u, a, r, i, o = Scope.SYSTEM, Scope.USER, Scope.ASSISTANT, Scope.REASONING, Scope.TOOL_INPUT, Scope.TOOL_OUTPUT
    found = {span.text: span.scope for span in FORMAT.request_spans(REQUEST)}
    wanted = {
        "1": s, "2": s, "3": u, "4": u, "5 6": u, "7": a, "8": r, "9": i, "10": i, "11": o, "12": o, "13": o, "14": u,
        "15": u, "16": u, "17": u,
        "18": s, "19": s, "20": s, "21": s, "22": u, "23": u, "24": u, "25": u,
    }  # fmt: skip
    assert found == wanted


@pytest.mark.parametrize(
    "key",
    [
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "thinking",
        "thinking_blocks",
        "content",
        "refusal",
        "tool_calls",
        "function_call",
        "new",
    ],
)
def test_a_stream_and_a_whole_answer_agree_on_scopes(key):
    wanted = (
        Scope.REASONING if "reason" in key or "think" in key else Scope.TOOL_INPUT if "call" in key else Scope.ASSISTANT
    )
    value = "two words"
    (whole,) = FORMAT.response_spans({"choices": [{"index": 0, "message": {"role": "assistant", key: value}}]})
    (piece,) = FORMAT.delta(chunk({key: value})).pieces
    assert whole.scope is piece.scope is wanted


@pytest.mark.parametrize(
    "body",
    [
        [],
        ["a b"],
        "a b",
        None,
        1,
        {"choices": "a b"},
        {"choices": ["a b", None, {"message": "a b"}]},
        {"messages": "a b"},
        {"messages": {"a": "a b"}},
        {"error": {"message": "a b"}},
    ],
)
def test_any_json_has_its_strings_found(body):
    strings = list(leaves(body))
    assert [span.path for span in FORMAT.response_spans(body)] == strings
    assert [piece.path for piece in FORMAT.delta(body).pieces] == strings
    if isinstance(body, dict):
        assert [span.path for span in FORMAT.request_spans(body)] == strings


NAMES = st.sampled_from(
    ["", "choices", "message", "messages", "delta", "content", "id", "tool_calls", "arguments", "url", "usage", "new"]
)
ANY = st.recursive(
    st.sampled_from(["a b", None, True, 0, 7]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(NAMES, ANY, max_size=5))
def test_no_string_escapes_wherever_it_stands(body):
    strings = set(leaves(body))
    assert {span.path for span in FORMAT.request_spans(body)} == strings
    assert {span.path for span in FORMAT.response_spans(body)} == strings
    assert {piece.path for piece in FORMAT.delta(body).pieces} == strings


# streams


def test_deltas_of_the_same_text_share_a_track_and_others_do_not():
    def tracks(*deltas, index=0):
        return [piece.track for delta in deltas for piece in FORMAT.delta(chunk(delta, index)).pieces]

    assert len(set(tracks({"content": "a"}, {"content": "b"}))) == 1
    assert len(set(tracks({"content": "a"}, {"refusal": "b"}))) == 2
    assert set(tracks({"content": "a"})) != set(tracks({"content": "a"}, index=1))
    calls = [{"tool_calls": [{"index": number, "function": {"name": "f", "arguments": "{"}}]} for number in (0, 1, 0)]
    assert len(set(tracks(*calls))) == 4
    assert (
        len(set(tracks({"content": [{"type": "text", "text": "a"}]}, {"content": [{"type": "text", "text": "b"}]})))
        == 1
    )


@pytest.mark.parametrize("index", [0, 1, 127, None])
def test_a_track_can_be_a_key_whatever_the_index_is(index):
    event = {
        "choices": [
            {
                "index": index,
                "delta": {"content": "a", "tool_calls": [{"index": index, "function": {"arguments": "b"}}]},
            }
        ]
    }
    assert len({piece.track for piece in FORMAT.delta(event).pieces if piece.text in "ab"}) == 2


@pytest.mark.parametrize(
    ("event", "telling", "final", "barrier"),
    [
        (chunk({"role": "assistant", "content": ""}), False, False, False),
        (chunk({"content": "a"}), True, False, False),
        (chunk({}, finish="stop"), True, True, False),
        (chunk({"reasoning": "a"}), True, False, False),
        (chunk({"reasoning": "a", "content": "b"}), True, False, True),
        (chunk({"reasoning": "a"}, finish="stop"), True, True, True),
        ({**chunk({}), "choices": []}, True, False, True),
        ({"choices": [chunk({"content": "a"}, each)["choices"][0] for each in (0, 1)]}, True, False, True),
    ],
)
def test_the_order_of_events(event, telling, final, barrier):
    delta = FORMAT.delta(event)
    assert (delta.telling, delta.final, delta.lane is None) == (telling, final, barrier)


def test_the_end_of_a_choice_waits_for_its_reasoning():
    assert FORMAT.delta(chunk({}, finish="stop")).after == FORMAT.delta(chunk({"reasoning": "a"})).lane
    assert FORMAT.delta(chunk({"content": "a"})).after is None


def test_what_repeats_a_text_is_named():
    body = {"choices": [{"message": {}, "logprobs": {"content": []}}, {"logprobs": None}, {}]}
    assert FORMAT.echoes(body, {("choices", 0, "message", "content")}) == [("choices", 0, "logprobs")]
    assert FORMAT.echoes(body, {("choices", 1, "message", "content"), ("choices", 2, "x"), ("error",)}) == []


# what a body says about itself


@pytest.mark.parametrize(
    ("usage", "wanted"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}, Usage(5, 7)),
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 7,
                "prompt_tokens_details": {"cached_tokens": 2},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            Usage(5, 7, 2, 3),
        ),
        (
            {
                "prompt_tokens": "5",
                "completion_tokens": -1,
                "prompt_tokens_details": None,
                "completion_tokens_details": [1],
            },
            Usage(),
        ),
        ({"prompt_tokens": True}, Usage()),
        (None, None),
        ([], None),
        (3, None),
    ],
)
def test_usage_is_what_the_provider_counted(usage, wanted):
    assert FORMAT.usage({"usage": usage}) == wanted
    assert FORMAT.usage({}) is FORMAT.usage([]) is FORMAT.usage(None) is None


def test_model_and_stream_are_read_strictly():
    assert FORMAT.model({"model": "m"}) == "m"
    assert FORMAT.model({"model": 1}) is FORMAT.model({}) is None
    assert [FORMAT.streamed({"stream": value}) for value in (True, False, None, 1, "true")] == [
        True,
        False,
        False,
        False,
        False,
    ]


# what we say


def sse_data(raw):
    stream = EventStream(1 << 20)
    return [event.data for event in [*stream.feed(raw), *stream.close()]]


def test_an_error_has_the_shape_sdks_read():
    body = json.loads(FORMAT.error(400, "blocked", 'say "no"', "policy_violation"))
    assert body == {"error": {"message": 'say "no"', "type": "policy_violation", "param": None, "code": "blocked"}}
    error, done = sse_data(FORMAT.error_event("blocked", "no\nmore", "policy_violation"))
    assert json.loads(error)["error"]["message"] == "no\nmore"
    assert done == b"[DONE]"


def test_a_reply_is_a_whole_answer_to_the_sdk():
    answer = ChatCompletion.model_validate_json(FORMAT.reply('no "jokes"', "m", "r1", 17), strict=False)
    assert (answer.id, answer.created, answer.model, answer.object) == ("chatcmpl-r1", 17, "m", "chat.completion")
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason, answer.usage.total_tokens) == (
        'no "jokes"',
        "stop",
        0,
    )


def test_a_reply_stream_is_a_whole_stream_to_the_sdk():
    *parts, done = sse_data(FORMAT.reply_stream("no\njokes", "m", "r1", 17))
    chunks = [ChatCompletionChunk.model_validate_json(part) for part in parts]
    assert "".join(each.choices[0].delta.content or "" for each in chunks) == "no\njokes"
    assert [each.choices[0].finish_reason for each in chunks] == [None, "stop"]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert {each.id for each in chunks} == {"chatcmpl-r1"}
    assert done == b"[DONE]"


def test_the_list_of_models():
    page = openai.types.Model.model_validate(json.loads(FORMAT.models(["a", "b"]))["data"][1])
    assert (page.id, page.object) == ("b", "model")
    assert json.loads(FORMAT.models([])) == {"object": "list", "data": []}


def logprobs(*tokens, **more):
    return {"content": [{"token": token, "logprob": -1.0, **more} for token in tokens], "refusal": None}


@pytest.mark.parametrize(
    ("choice", "kept"),
    [
        ({"message": {"content": "hello you"}, "logprobs": logprobs("hello", " you")}, True),
        ({"delta": {"content": "hello"}, "logprobs": logprobs("hello")}, True),
        ({"delta": {}, "logprobs": {"content": None, "refusal": None}}, True),
        ({"delta": {}, "logprobs": {"content": [], "refusal": None}}, True),
        (
            {
                "delta": {"content": "\u00e9"},
                "logprobs": {"content": [{"token": "?", "bytes": [195]}, {"token": "?", "bytes": [169]}]},
            },
            True,
        ),
        ({"delta": {}, "logprobs": logprobs("jane@example.com")}, False),
        ({"delta": {"content": "x"}, "logprobs": logprobs("jane@example.com")}, False),
        ({"delta": {"content": "x"}, "logprobs": {**logprobs("x"), "note": "jane@example.com"}}, False),
        ({"delta": {"content": "x"}, "logprobs": "jane@example.com"}, False),
        ({"delta": {"content": "x"}, "logprobs": {"content": [{"token": 5}]}}, False),
        ({"logprobs": logprobs("x")}, False),
    ],
)
def test_log_probabilities_stay_only_where_they_repeat_exactly_what_was_inspected(choice, kept):
    found = OpenAIChat().echoes({"choices": [choice]}, set())
    assert found == ([] if kept else [("choices", 0, "logprobs")])
