"""OpenAI chat's codec, case by case: what each field becomes, what is lost and told, what is refused."""

import json

import pytest

from extproc.chat.answer import (
    Answer,
    Choice,
    Failure,
    FailureKind,
    Finish,
    Finished,
    PartDelta,
    PartEnd,
    PartStart,
    Start,
    Usage,
)
from extproc.chat.codec import Context
from extproc.chat.fold import fold, unfold
from extproc.chat.losses import Losses
from extproc.chat.parts import Cache, Media, Message, Native, Reasoning, Refusal, Text, ToolCall, ToolResult
from extproc.chat.request import OutputShape, Request, Settings, Thinking, Tool, ToolChoice
from extproc.errors import DecodeError, Unrepresentable
from extproc.formats.openai_chat.codec import OpenAIChatCodec
from extproc.formats.openai_chat.encode import Dialect
from tests.golden.canonical import bare, lawful

CODEC = OpenAIChatCodec()
WIDE = OpenAIChatCodec(Dialect(extensions=True))
CONTEXT = Context("r1", "m", 17)


def asked(*messages, **more):
    """A request, and what was lost of it."""
    losses = Losses()
    body = {"model": "m", "messages": list(messages), **more}
    return CODEC.decode_request(body, losses), losses.found


def sent(request, codec=CODEC):
    """A body, and what was lost on the way into it."""
    losses = Losses()
    return codec.encode_request(request, losses), losses.found


def user(*parts):
    return Request("m", [Message("user", list(parts))])


def stream(*chunks, done=True):
    decoder = CODEC.decoder()
    found = [event for each in chunks for event in decoder.decode("", json.dumps(each).encode())]
    if done:
        found += decoder.decode("", b"[DONE]")
    return found + decoder.close()


def chunk(delta, finish=None, index=0, **more):
    return {
        "id": "a",
        "model": "m",
        "created": 1,
        "choices": [{"index": index, "delta": delta, "finish_reason": finish}],
        **more,
    }


# requests in


def test_parts_of_content():
    parts = [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a"}},
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "mp3"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,QUJD", "filename": "a.pdf"}},
        {"type": "file", "file": {"file_data": "QUJD", "filename": "a.pdf"}},
        {"type": "file", "file": {"file_id": "f1"}},
        {"type": "video_url", "video_url": {"url": "https://example.com/b"}},
        {"type": "new", "new": 1},
    ]
    request, lost = asked({"role": "user", "content": parts, "name": "ann"})
    (message,) = request.messages
    assert bare(message.parts) == [
        Text("a", Cache("1h")),
        Media("image", data="QUJD", type="image/png", detail="low"),
        Media("image", url="https://example.com/a"),
        Media("audio", data="QUJD", type="audio/mpeg"),
        Media("file", data="QUJD", type="application/pdf", name="a.pdf"),
        Media("file", data="QUJD", name="a.pdf"),
        Media("file", id="f1"),
        Media("video", url="https://example.com/b"),
        Native("openai-chat", {"type": "new", "new": 1}),
    ]
    assert [part.where for part in message.parts] == [("messages", 0, "content", at) for at in range(9)]
    assert (message.name, lost) == ("ann", [])
    body, _ = sent(request, WIDE)
    assert body["messages"] == [{"role": "user", "content": parts, "name": "ann"}]


def test_roles_and_results():
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    request, lost = asked(
        {"role": "developer", "content": "s"},
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": None, "tool_calls": [call, {**call, "id": "c2"}]},
        {"role": "tool", "tool_call_id": "c1", "content": "one"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "two"}]},
        {"role": "user", "content": "and?"},
    )
    assert lost == []
    assert [message.role for message in request.messages] == ["system", "user", "assistant", "user", "user"]
    assert bare(request.messages[3].parts) == [
        ToolResult("c1", [Text("one")], "f"),
        ToolResult("c2", [Text("two")], "f"),
    ]


def test_legacy_functions():
    request, _ = asked(
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "one"},
        functions=[{"name": "f", "parameters": {"type": "object"}}],
        function_call={"name": "f"},
    )
    (call,), (result,) = request.messages[1].parts, request.messages[2].parts
    assert call.id == result.id != ""
    assert (call.name, result.name) == ("f", "f")
    assert bare(request.tools) == [Tool("f", parameters={"type": "object"})]
    assert request.tool_choice == ToolChoice("named", ("f",))
    body, _ = sent(request)
    assert body["messages"][2]["tool_call_id"] == body["messages"][1]["tool_calls"][0]["id"] == call.id


@pytest.mark.parametrize(
    ("field", "value", "where", "wanted"),
    [
        ("max_tokens", 5, "max_output", 5),
        ("temperature", 0.5, "temperature", 0.5),
        ("n", 2, "choices", 2),
        ("stop", "a", "stop", ["a"]),
        ("stop", ["a", "b"], "stop", ["a", "b"]),
        ("logprobs", True, "logprobs", 0),
        ("logprobs", False, "logprobs", None),
        ("parallel_tool_calls", False, "parallel_tools", False),
        ("verbosity", "low", "verbosity", "low"),
        ("service_tier", "flex", "service_tier", "flex"),
        ("modalities", ["text"], "modalities", ["text"]),
    ],
)
def test_settings(field, value, where, wanted):
    request, lost = asked({"role": "user", "content": "q"}, **{field: value})
    assert getattr(request.settings, where) == wanted
    assert lost == []
    assert request.where.get(f"settings.{where}") == ((field,) if wanted is not None else None)


def test_the_newer_limit_counts():
    request, _ = asked({"role": "user", "content": "q"}, max_completion_tokens=1, max_tokens=2)
    assert request.settings.max_output == 1


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({"reasoning_effort": "low"}, Thinking("low")),
        ({"reasoning": {"effort": "high", "exclude": True}}, Thinking("high", show=False)),
        ({"reasoning": {"max_tokens": 99}}, Thinking(budget=99)),
        ({"reasoning": {"enabled": True}}, Thinking(budget=-1)),
        ({"reasoning": {"enabled": False}}, Thinking("none")),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, Thinking(budget=1024)),
        ({"thinking": {"type": "disabled"}}, Thinking("none")),
        ({"reasoning_format": "hidden"}, Thinking(show=False)),
        ({"include_reasoning": True}, Thinking(show=True)),
        ({}, None),
    ],
)
def test_thinking(more, wanted):
    assert asked({"role": "user", "content": "q"}, **more)[0].thinking == wanted


def test_tools_and_their_choice():
    grammar = {"syntax": "lark", "definition": "start: A"}
    tools = [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"a": 1}, "strict": True}},
        {"type": "custom", "custom": {"name": "c", "format": {"type": "grammar", "grammar": grammar}}},
        {"type": "openrouter:advisor", "parameters": {}},
    ]
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    search = {"search_context_size": "low"}
    request, lost = asked({"role": "user", "content": "q"}, tools=tools, tool_choice=choice, web_search_options=search)
    assert lost == []
    assert bare(request.tools) == [
        Tool("f", "d", {"a": 1}, True),
        Tool("c", custom=True, grammar=grammar),
        Tool("openrouter:advisor", parameters=tools[2], native="openai-chat"),
        Tool("web_search", parameters={"web_search_options": search}, native="openai-chat"),
    ]
    assert request.tool_choice == ToolChoice("required", ("f",))
    body, lost = sent(request)
    assert (body["tools"], body["tool_choice"], body["web_search_options"], lost) == (tools, choice, search, [])


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ("any", ToolChoice("required")),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice("named", ("f",))),
        ({"type": "custom", "custom": {"name": "f"}}, ToolChoice("named", ("f",))),
        (None, None),
    ],
)
def test_choices_of_tools(choice, wanted):
    assert asked({"role": "user", "content": "q"}, tool_choice=choice)[0].tool_choice == wanted


def test_what_has_no_place_is_told():
    request, lost = asked(
        {"role": "user", "content": "q", "weight": 1}, prediction={}, shiny=1, store=True, user="u", seed=None
    )
    assert sorted(lost) == [
        ("messages[0].weight", "unknown field"),
        ("prediction", "not supported"),
        ("shiny", "unknown field"),
        ("store", "not supported"),
    ]
    assert request.user == "u"


@pytest.mark.parametrize(
    "more",
    [
        {"data_sources": [{}]},
        {"plugins": [{"id": "web"}]},
        {"previous_response_id": "r"},
        {"modalities": ["text", "audio"]},
        {"response_format": {"type": "grammar"}},
    ],
)
def test_what_must_not_be_lost_is_refused(more):
    with pytest.raises(Unrepresentable) as refused:
        asked({"role": "user", "content": "q"}, **more)
    assert refused.value.path == (next(iter(more)),)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": "q"},
        {"messages": ["q"]},
        {"messages": [{"role": "boss"}]},
        {"messages": [{"role": "user", "content": 1}]},
        {"messages": [{"role": "user", "content": [{"text": "no type"}]}]},
        {"messages": [], "temperature": "hot"},
        {"messages": [], "n": True},
        {"messages": [], "tools": {}},
        {"messages": [], "tool_choice": "whatever"},
        {"messages": [], "model": 1},
    ],
)
def test_what_is_no_request_is_none(body):
    with pytest.raises(DecodeError):
        CODEC.decode_request(body, Losses())


# requests out


def test_settings_are_kept_within_what_is_accepted():
    request = Request(
        "m", settings=Settings(temperature=3.0, stop=list("abcdef"), top_k=5, service_tier="standard_only")
    )
    request.where["settings.top_k"] = ("generationConfig", "topK")
    body, lost = sent(request)
    assert (body["temperature"], body["stop"]) == (2, ["a", "b", "c", "d"])
    assert "top_k" not in body
    assert "service_tier" not in body
    assert ("generationConfig.topK", "not supported") in lost
    assert len(lost) == 3
    assert sent(request, WIDE)[0]["top_k"] == 5


@pytest.mark.parametrize(
    ("thinking", "wanted", "wide"),
    [
        (Thinking("max"), {"reasoning_effort": "xhigh"}, {"reasoning_effort": "xhigh"}),
        (Thinking(budget=9000), {"reasoning_effort": "medium"}, {"reasoning": {"max_tokens": 9000}}),
        (Thinking(budget=0), {}, {"reasoning": {"enabled": False}}),
        (Thinking(budget=-1), {}, {"reasoning": {"enabled": True}}),
        (Thinking("low", show=False), {"reasoning_effort": "low"}, {"reasoning": {"effort": "low", "exclude": True}}),
    ],
)
def test_thinking_in_the_words_of_the_provider(thinking, wanted, wide):
    def told(codec):
        body, _ = sent(Request("m", thinking=thinking), codec)
        return {name: value for name, value in body.items() if name.startswith("reasoning")}

    assert told(CODEC) == wanted
    assert told(WIDE) == wide


def test_ids_that_are_too_long_still_match():
    long = "toolu_" + "x" * 60
    messages = [Message("assistant", [ToolCall(long, "f", "{}")]), Message("user", [ToolResult(long, [Text("r")])])]
    for dialect in (Dialect(), Dialect(short_ids=True)):
        body, _ = sent(Request("m", messages), OpenAIChatCodec(dialect))
        call, result = body["messages"]
        assert call["tool_calls"][0]["id"] == result["tool_call_id"] != long
        assert len(result["tool_call_id"]) == (9 if dialect.short_ids else 37)


def test_results_come_first_and_pictures_follow_them():
    parts = [Text("see"), ToolResult("c", [Text("r"), Media("image", url="https://example.com/a")], failed=True)]
    body, lost = sent(user(*parts))
    assert body["messages"] == [
        {"role": "tool", "tool_call_id": "c", "content": "r"},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "https://example.com/a"}},
                {"type": "text", "text": "see"},
            ],
        },
    ]
    assert [reason for _, reason in lost] == ["failure of a tool", "moved out of a tool's result"]


@pytest.mark.parametrize(
    "request_",
    [
        user(Native("gemini", {})),
        user(Media("file", url="https://example.com/a.pdf")),
        user(Media("video", url="https://example.com/a")),
        user(Media("image", id="f")),
        Request("m", [Message("system", [Media("image", url="https://example.com/a")])]),
        Request("m", [Message("assistant", [Media("image", url="https://example.com/a")])]),
        Request("m", tools=[Tool("x", native="gemini")]),
    ],
)
def test_content_that_cannot_be_said_is_refused(request_):
    with pytest.raises(Unrepresentable):
        sent(request_)


def test_reasoning_goes_only_where_it_is_understood():
    thought = Reasoning("t", signature="s", maker="claude", where=("messages", 0))
    request = Request("m", [Message("assistant", [thought, Text("a")])])
    body, lost = sent(request)
    assert body["messages"] == [{"role": "assistant", "content": "a"}]
    assert lost == [("messages[0]", "reasoning")]
    (message,) = sent(request, WIDE)[0]["messages"]
    assert message["reasoning_details"] == [
        {"type": "reasoning.text", "text": "t", "signature": "s", "format": "anthropic-claude-v1", "index": 0}
    ]


def test_the_limit_is_called_what_the_server_knows():
    request = Request("m", settings=Settings(max_output=5))
    assert sent(request)[0]["max_completion_tokens"] == 5
    assert sent(request, OpenAIChatCodec(Dialect(output="max_tokens")))[0]["max_tokens"] == 5


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        (OutputShape(), {"type": "json_object"}),
        (
            OutputShape({"type": "object"}, "a name", strict=True),
            {"type": "json_schema", "json_schema": {"name": "a_name", "schema": {"type": "object"}, "strict": True}},
        ),
        (OutputShape({}), {"type": "json_schema", "json_schema": {"name": "answer", "schema": {}}}),
    ],
)
def test_shapes_of_output(shape, wanted):
    assert sent(Request("m", output=shape))[0]["response_format"] == wanted


def test_usage_of_a_stream_is_asked_for_where_it_is_wanted():
    assert "stream_options" not in sent(Request("m", stream=True))[0]
    assert sent(Request("m", stream=True, usage=True))[0]["stream_options"] == {"include_usage": True}


# signatures through a client of this format


@pytest.mark.parametrize(
    "part",
    [
        Reasoning("thought", signature="sig", maker="claude"),
        Reasoning("", sealed="blob", maker="claude"),
        Reasoning("in short", sealed="blob", maker="openai", summary=True, id="rs_1"),
        Reasoning("plain"),
        ToolCall("c", "f", "{}", signature="sig", maker="gemini"),
    ],
)
def test_signatures_survive_a_client_that_sends_its_messages_back(part):
    """Whole, and put together of a stream as OpenRouter's clients do."""
    answer = Answer("a", "m", 1, [Choice(0, [part, *([] if isinstance(part, ToolCall) else [Text("x")])], Finish.STOP)])
    message = CODEC.encode_answer(answer, CONTEXT, Losses())["choices"][0]["message"]
    assert bare(asked(message)[0].messages[0].parts[0]) == part
    encoder = CODEC.encoder(CONTEXT, Losses())
    message = {"role": "assistant", "content": None}
    for raw in map(encoder.encode, unfold(answer)):
        for name, value in json.loads(raw[6:])["choices"][0]["delta"].items() if raw else ():
            if name == "tool_calls":
                held = message.setdefault(name, [{"id": "c", "function": {"name": "f", "arguments": ""}}])[0]
                held["function"]["arguments"] += value[0].get("function", {}).get("arguments", "")
                held |= {each: value[0][each] for each in ("extra_content",) if each in value[0]}
            elif name != "role":
                message[name] = (message.get(name) or type(value)()) + value
    assert bare(asked(message)[0].messages[0].parts[0]) == part


def test_a_gemini_signature_under_the_id_of_its_call():
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    seal = {"type": "reasoning.encrypted", "data": "sig", "id": "c", "format": "google-gemini-v1", "index": 0}
    wanted = [ToolCall("c", "f", "{}", signature="sig", maker="gemini")]
    request, _ = asked({"role": "assistant", "content": None, "tool_calls": [call], "reasoning_details": [seal]})
    assert bare(request.messages[0].parts) == wanted
    sealed, called = chunk({"reasoning_details": [seal]}), chunk({"tool_calls": [{"index": 0, **call}]})
    for events in ((sealed, called), (called, sealed)):
        (part,) = fold(stream(*events, chunk({}, "tool_calls"))).choices[0].parts
        assert (part.id, part.signature) == ("c", "sig")


def test_blocks_as_litellm_passes_them():
    blocks = [
        {"type": "thinking", "thinking": "t", "signature": "s"},
        {"type": "redacted_thinking", "data": "blob"},
    ]
    request, lost = asked({"role": "assistant", "content": "x", "thinking_blocks": blocks, "reasoning_content": "t"})
    assert bare(request.messages[0].parts) == [
        Reasoning("t", signature="s", maker="claude"),
        Reasoning("", sealed="blob", maker="claude"),
        Text("x"),
    ]
    assert lost == []


# answers


def test_what_a_server_adds_to_usage():
    def used(**usage):
        return CODEC.decode_answer({"choices": [], "usage": usage}).usage

    assert used(prompt_tokens=5, completion_tokens=7, prompt_cache_hit_tokens=2) == Usage(5, 7, 2)
    beside = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 32}
    assert used(**beside, completion_tokens_details={"reasoning_tokens": 20}) == Usage(5, 27, reasoning=20)
    within = {"prompt_tokens": 5, "completion_tokens": 27, "total_tokens": 32}
    assert used(**within, completion_tokens_details={"reasoning_tokens": 20}) == Usage(5, 27, reasoning=20)


@pytest.mark.parametrize(
    ("word", "message", "wanted"),
    [
        ("stop", {"content": "a"}, Finish.STOP),
        ("eos", {"content": "a"}, Finish.STOP),
        ("model_length", {"content": "a"}, Finish.LENGTH),
        ("content_filter", {"content": "a"}, Finish.FILTER),
        ("error", {"content": "a"}, Finish.OTHER),
        (None, {"content": "a"}, Finish.OTHER),
        ("stop", {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]}, Finish.TOOLS),
    ],
)
def test_why_an_answer_ended(word, message, wanted):
    body = {"choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": word}]}
    assert CODEC.decode_answer(body).choices[0].finish is wanted
    if word:
        delta = {**message, "tool_calls": [{"index": 0, **each} for each in message.get("tool_calls", [])]}
        assert fold(stream(chunk(delta, word))).choices[0].finish is wanted


def test_what_a_client_of_this_format_cannot_be_told_is_a_loss():
    losses = Losses()
    parts = [
        Media("audio", data="QUJD"),
        Native("claude", {}),
        Refusal("no"),
        Media("image", data="QUJD", type="image/png"),
    ]
    body = CODEC.encode_answer(Answer(choices=[Choice(0, parts, Finish.PAUSE)]), CONTEXT, losses)
    message = body["choices"][0]["message"]
    assert (message["content"], message["refusal"]) == (None, "no")
    assert message["images"][0]["image_url"]["url"] == "data:image/png;base64,QUJD"
    assert (body["id"], body["created"], body["model"]) == ("chatcmpl-r1", 17, "m")
    assert [reason for _, reason in losses.found] == ["audio in an answer", "a provider's own part", "finish reason"]


@pytest.mark.parametrize(
    ("status", "body", "wanted"),
    [
        (400, {"error": {"message": "no", "param": "n", "code": "bad"}}, (FailureKind.INVALID, "no", "bad", "n")),
        (401, {"error": "no"}, (FailureKind.AUTHENTICATION, "no", "", "")),
        (404, {"object": "error", "message": "no", "code": 404}, (FailureKind.NOT_FOUND, "no", "404", "")),
        (422, {"detail": "no"}, (FailureKind.INVALID, "no", "", "")),
        (429, None, (FailureKind.RATE_LIMIT, "The provider answered with an error.", "", "")),
        (503, [], (FailureKind.OVERLOADED, "The provider answered with an error.", "", "")),
        (500, {"error": {"message": {}}}, (FailureKind.INTERNAL, "The provider answered with an error.", "", "")),
        (
            400,
            {"error": {"message": "no", "code": "content_filter"}},
            (FailureKind.FILTERED, "no", "content_filter", ""),
        ),
        (200, {"error": {"message": "no", "code": 502}}, (FailureKind.INTERNAL, "no", "502", "")),
        (200, {"error": {"message": "no", "code": 429}}, (FailureKind.RATE_LIMIT, "no", "429", "")),
    ],
)
def test_errors(status, body, wanted):
    found = CODEC.decode_error(status, body)
    assert (found.kind, found.message, found.code, found.param) == wanted


# streams


def test_a_stream_that_breaks_off_fails():
    for events in ([], [chunk({"content": "a"})]):
        found = stream(*events, done=False)
        assert found[-1] == Failure(FailureKind.INTERNAL, "The provider's stream broke off.", "stream_truncated")
        lawful(found)


def test_a_stream_without_a_finish_is_believed_if_it_says_done():
    found = stream(chunk({"content": "a"}))
    lawful(found)
    assert found[-1] == Finished(0, Finish.STOP)


def test_one_choice_that_ended_is_enough():
    found = stream(chunk({"content": "a"}), chunk({"content": "b"}, "stop", 1), done=False)
    lawful(found)
    assert [(each.choice, each.finish) for each in found if isinstance(each, Finished)] == [
        (1, Finish.STOP),
        (0, Finish.OTHER),
    ]


def test_an_error_in_the_middle_ends_it():
    found = stream(
        chunk({"content": "a"}), {"error": {"message": "no", "type": "server_error"}}, chunk({"content": "b"})
    )
    assert found[-1] == Failure(FailureKind.INTERNAL, "no")
    assert not [each for each in found if isinstance(each, PartDelta) and each.text == "b"]


def call(index=None, id_=None, name=None, arguments=None):
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    told = {key: value for key, value in (("index", index), ("id", id_)) if value is not None}
    return {**told, "function": function}


@pytest.mark.parametrize(
    "deltas",
    [
        [[call(0, "a", "f", "")], [call(0, arguments="1")], [call(1, "b", "g", "")], [call(1, arguments="2")]],
        [[call(0, "a", "f"), call(1, "b", "g")], [call(1, arguments="2")], [call(0, arguments="1")]],
        [[call(0, "a", "f", "1")], [call(0, "b", "g", "2")]],  # the same index for all
        [[call(None, "a", "f", "1")], [call(None, "b", "g", "2")]],  # no index
        [[call(None, "a", "f")], [call(None, None, None, "1")], [call(None, "b", "g")], [call(None, None, None, "2")]],
        [[call(0, "a", arguments="1")], [call(0, name="f")], [call(1, "b", "g", "2")]],  # the name comes late
        [[call(0, "a", "f", "1")], [call(0, "a", "f", "")], [call(1, "b", "g", "2")]],  # the id comes again
    ],
)
def test_calls_however_servers_tell_them_apart(deltas):
    found = stream(*[chunk({"tool_calls": each}) for each in deltas], chunk({}, "tool_calls"))
    lawful(found)
    (choice,) = fold(found).choices
    assert [(part.id, part.name, part.arguments) for part in choice.parts] == [("a", "f", "1"), ("b", "g", "2")]


@pytest.mark.parametrize("index", ["0", 0.5, -1, True])
def test_an_index_is_a_number(index):
    with pytest.raises(DecodeError):
        stream(chunk({"tool_calls": [call(index, "a", "f")]}))
    with pytest.raises(DecodeError):
        stream(chunk({"content": "a"}, None, index))


def test_reasoning_that_is_there_twice_is_read_once():
    both = {"reasoning": "a", "reasoning_content": "a", "reasoning_details": [{"type": "reasoning.text", "text": "a"}]}
    assert [part.text for part in fold(stream(chunk(both, "stop"))).choices[0].parts] == ["a"]
    assert fold(stream(chunk({"reasoning": "a", "reasoning_content": "a"}, "stop"))).choices[0].parts == [
        Reasoning("a")
    ]


def test_a_stream_begins_with_the_first_event_that_says_something():
    azure = {"id": "", "model": "", "choices": [], "prompt_filter_results": [{}]}
    assert stream(azure, chunk({"content": "a"}, "stop"))[0] == Start("a", "m", 1)


def test_there_is_no_end_to_the_parts_of_a_choice():
    flood = [chunk({"tool_calls": [call(number, f"c{number}", "f")]}) for number in range(1100)]
    with pytest.raises(DecodeError):
        stream(*flood)


def test_the_encoder_says_the_role_once_and_usage_last():
    encoder = CODEC.encoder(Context("r1", "m", 17, usage=True), Losses())
    events = [Start("a", "m", 1), PartStart(0, 0, Text("")), PartDelta(0, 0, "x"), Finished(0, Finish.STOP)]
    raw = b"".join([*map(encoder.encode, events), encoder.close(), encoder.close()])
    *chunks, done = [each.removeprefix(b"data: ") for each in raw.split(b"\n\n")[:-1]]
    told = [json.loads(each)["choices"][0] for each in chunks]
    assert [each["delta"] for each in told] == [{"role": "assistant", "content": "x"}, {}]
    assert told[1]["finish_reason"] == "stop"
    assert done == b"[DONE]"


def test_a_call_without_arguments_is_an_empty_object():
    encoder = CODEC.encoder(CONTEXT, Losses())

    events = [Start("a", "m", 1), PartStart(0, 0, ToolCall("c", "f")), PartEnd(0, 0), Finished(0, Finish.TOOLS)]
    raw = b"".join([*map(encoder.encode, events), encoder.close()])
    decoder = CODEC.decoder()
    found = [event for each in raw.split(b"\n\n")[:-1] for event in decoder.decode("", each[6:])]
    assert fold(found).choices[0].parts[0].arguments == "{}"
