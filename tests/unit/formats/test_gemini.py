"""Gemini, as the guard sees it: every text in both spellings, scopes, order, usage, errors, replies, endings and cuts."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.chat.answer import Usage
from extproc.errors import DecodeError
from extproc.formats.gemini import Gemini, GeminiCount, GeminiEmbed
from extproc.framing.jsontext import parse, replace
from extproc.framing.sse import EventStream
from extproc.policy.api import Scope

FORMAT = Gemini()
BLOB = "QUJD" * 30


def leaves(value, path=()):
    if isinstance(value, str):
        yield path
    for key, child in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from leaves(child, (*path, key))


def scopes(body):
    return {span.text: span.scope for span in FORMAT.request_spans(body)}


# requests

REQUEST = {
    "systemInstruction": {"role": "user", "parts": [{"text": "1"}]},
    "contents": [
        {"role": "user", "parts": [{"text": "2"}, {"inlineData": {"mimeType": "image/png", "data": BLOB}}]},
        {
            "role": "model",
            "parts": [
                {"text": "3", "thought": True, "thoughtSignature": BLOB},
                {"text": "4"},
                {"functionCall": {"id": "c1", "name": "5", "args": {"role": "6", "deep": [{"id": "7"}]}}},
                {"executableCode": {"language": "PYTHON", "code": "8"}},
                {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "9"}},
            ],
        },
        {"role": "user", "parts": [{"functionResponse": {"id": "c1", "name": "10", "response": {"type": "11"}}}]},
        {"role": "function", "parts": [{"text": "12"}]},
        {"parts": [{"text": "13"}]},
        {"role": "stranger", "parts": [{"text": "14"}]},
        "15",
        {"role": 7, "parts": ["16"]},
    ],
    "tools": [{"functionDeclarations": [{"name": "17", "description": "18", "parameters": {"type": "OBJECT"}}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["19"]}},
    "generationConfig": {
        "stopSequences": ["20"],
        "responseJsonSchema": {"description": "21"},
        "responseMimeType": "application/json",
        "responseModalities": ["TEXT"],
    },
    "labels": {"type": "22"},
    "cachedContent": "cachedContents/c1",
    "tomorrow": "23",
}
WANTED = {
    Scope.SYSTEM: "1 17 18 19 21",
    Scope.USER: "2 13 14 15 16 20 22 23",
    Scope.ASSISTANT: "4",
    Scope.REASONING: "3",
    Scope.TOOL_INPUT: "5 6 7 8",
    Scope.TOOL_OUTPUT: "9 10 11 12",
}


def snake(value):
    """The same with every name of theirs in snake case."""
    if isinstance(value, list):
        return [snake(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {"".join("_" + c.lower() if c.isupper() else c for c in name): snake(each) for name, each in value.items()}


@pytest.mark.parametrize("body", [REQUEST, snake(REQUEST)], ids=["camelCase", "snake_case"])
def test_whose_words_each_text_of_a_request_is(body):
    found = scopes(body)
    assert found == {text: scope for scope, texts in WANTED.items() for text in texts.split()}


@pytest.mark.parametrize("body", [REQUEST, snake(REQUEST)], ids=["camelCase", "snake_case"])
def test_what_no_rule_can_read_is_told(body):
    assert sorted(FORMAT.unscanned(body)) == ["image", "stored"]


@pytest.mark.parametrize(
    ("part", "kinds"),
    [
        ({"inlineData": {"mimeType": "audio/wav"}}, ["audio"]),
        ({"fileData": {"fileUri": "gs://b/o", "mime_type": "video/mp4"}}, ["video"]),
        ({"file_data": {"file_uri": "gs://b/o"}}, ["file"]),
        ({"functionResponse": {"parts": [{"inlineData": {"mimeType": "image/png"}}]}}, ["image"]),
        ({"inlineData": None, "functionResponse": None}, []),
        ({"inlineData": {"mimeType": 7}}, ["file"]),
        ("inlineData", []),
    ],
)
def test_media_is_found_wherever_it_stands(part, kinds):
    assert FORMAT.unscanned({"contents": {"parts": [part]}}) == kinds
    assert FORMAT.unscanned({"contents": [{"parts": part}]}) == kinds
    assert GeminiEmbed().unscanned({"requests": [{"content": {"parts": [part]}}]}) == kinds
    assert GeminiCount().unscanned({"generateContentRequest": {"contents": [{"parts": [part]}]}}) == kinds


def test_requests_inside_of_requests_are_read_alike():
    inner = {key: child for key, child in REQUEST.items() if key != "tomorrow"}
    wanted = {text: scope for text, scope in scopes(REQUEST).items() if text != "23"}
    for body in ({"generateContentRequest": inner}, {"generate_content_request": inner}, {"requests": [inner]}):
        assert scopes(body) == wanted
    embed = {"model": "models/e", "content": {"parts": [{"text": "a"}]}, "title": "b", "taskType": "RETRIEVAL_QUERY"}
    assert scopes(embed) == {"a": Scope.USER, "b": Scope.USER}


NAMES = st.text("abcxyz", min_size=1, max_size=5) | st.sampled_from([
    "contents", "parts", "text", "candidates", "content", "functionCall", "args", "tools", "requests", "thought",
    "groundingMetadata", "generationConfig", "system_instruction", "function_response", "response", "promptFeedback",
])  # fmt: skip
ANY = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.text(min_size=1, max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(NAMES, ANY, max_size=5))
def test_no_string_escapes_wherever_it_stands(body):
    strings = set(leaves(body))
    assert {span.path for span in FORMAT.request_spans(body) if not span.fixed} == strings
    assert {span.path for span in FORMAT.response_spans([body]) if not span.fixed} == {(0, *path) for path in strings}
    assert {span.path for span in FORMAT.response_spans(body) if not span.fixed} == strings
    try:
        assert {piece.path for piece in FORMAT.delta(body).pieces if not piece.fixed} == strings
    except DecodeError:
        assert isinstance(body["candidates"], list)  # candidates that cannot be told apart
    FORMAT.unscanned(body)
    FORMAT.echoes(body, set())
    FORMAT.usage(body)


def test_what_callers_make_up_is_text_whatever_it_is_called():
    part = {"text": "a", "partMetadata": {"type": "b"}}
    assert scopes({"contents": [{"role": "model", "parts": [part]}]}) == dict.fromkeys("ab", Scope.ASSISTANT)


def test_odd_log_probabilities_are_texts():
    body = event({"text": "hi"}, logprobsResult=["jane"])
    assert [span.text for span in FORMAT.response_spans(body)] == ["hi", "jane"]
    body = event({"text": "hi"}, logprobsResult={"chosenCandidates": ["john"], "a b": [{"c d": 1}]})
    assert [span.text for span in FORMAT.response_spans(body)] == ["hi", "a b\njohn\nc d"]
    assert FORMAT.echoes(body, set())


def test_names_of_members_are_texts_too():
    for body in (
        {"contents": [{"parts": [{"a b": 1}]}]},
        {"contents": [{"parts": [{"functionCall": {"args": {"a b": 1}}}]}]},
    ):
        assert [(span.text, span.fixed) for span in FORMAT.request_spans(body)] == [("a b", True)]


# streams


def event(*parts, finish=None, index=None, **more):
    candidate = {"content": {"parts": list(parts), "role": "model"}, **more}
    if finish:
        candidate["finishReason"] = finish
    if index is not None:
        candidate["index"] = index
    return {"candidates": [candidate], "modelVersion": "m", "responseId": "r"}


def tracks(*events):
    return [piece.track for each in events for piece in FORMAT.delta(each).pieces]


def test_a_candidates_texts_go_on_and_so_do_its_thoughts():
    said, thought = {"text": "a"}, {"text": "b", "thought": True}
    call = {"functionCall": {"name": "f", "args": {"a": "b"}}}
    assert len(set(tracks(event(said), event(said)))) == 1
    assert len(set(tracks(event(said, said)))) == 1
    assert len(set(tracks(event(thought), event(said), event(thought)))) == 2
    assert tracks(event(said))[0] == tracks(event(call, said))[-1], "clients put texts together over what is between"
    assert len(set(tracks(event(said), event(said, index=1)))) == 2
    assert tracks(event(said)) == tracks(event(said, index=0))
    assert [(piece.track, piece.joined) for piece in FORMAT.delta(event(call)).pieces] == [(None, False)] * 2


def test_arguments_in_pieces_go_on_by_their_place():
    def call(place, text):
        return event({"functionCall": {"partialArgs": [{"jsonPath": place, "stringValue": text}]}})

    def of_values(each):
        return [piece.track for piece in FORMAT.delta(each).pieces if piece.path[-1] == "stringValue"]

    assert of_values(call("$.a", "x")) == of_values(call("$.a", "y")) != of_values(call("$.b", "x"))
    assert all(None not in of_values(call(place, "x")) for place in ("$.a", "$.b"))


@pytest.mark.parametrize(
    ("value", "telling", "final", "barrier"),
    [
        (event({"text": "a"}), True, False, False),
        (event({"text": ""}), False, False, False),
        (event({"text": "", "thoughtSignature": BLOB}), True, False, False),
        (event(), False, False, False),
        (event(finish="STOP"), True, True, False),
        (event({"text": "a"}, finish="STOP"), True, True, False),
        (event({"text": "a"}, finish="FINISH_REASON_UNSPECIFIED"), True, False, False),
        (event({"text": "a", "thought": True}), True, False, False),
        (event({"text": "a", "thought": True}, {"text": "b"}), True, False, True),
        (event({"text": "a", "thought": True}, finish="STOP"), True, True, True),
        (event({"inlineData": {"mimeType": "image/png", "data": BLOB}}), True, False, False),
        ({"candidates": [event({"text": "a"}, index=n)["candidates"][0] for n in (0, 1)]}, True, False, True),
        ({"usageMetadata": {"promptTokenCount": 1}}, True, False, True),
        ({"promptFeedback": {"blockReason": "SAFETY"}}, True, True, True),
        ({"error": {"message": "a"}}, True, False, True),
    ],
)
def test_the_order_of_events(value, telling, final, barrier):
    delta = FORMAT.delta(value)
    assert (delta.telling, delta.final, delta.lane is None) == (telling, final, barrier)


def test_the_end_of_a_candidate_waits_for_its_thoughts():
    assert FORMAT.delta(event(finish="STOP")).after == FORMAT.delta(event({"text": "a", "thought": True})).lane
    assert FORMAT.delta(event({"text": "a"})).after is None


@pytest.mark.parametrize("index", ["0", 0.0, True, -1, [0]])
def test_an_index_that_clients_may_take_differently_is_refused(index):
    with pytest.raises(DecodeError):
        FORMAT.delta(event({"text": "a"}, index=index))


def test_two_candidates_of_one_index_are_refused():
    with pytest.raises(DecodeError):
        FORMAT.delta({"candidates": event({"text": "a"})["candidates"] + event({"text": "b"}, index=0)["candidates"]})


# what repeats the text


def logprobs(*tokens, **more):
    return {"chosenCandidates": [{"token": token, "tokenId": 1, "logProbability": -1.0} for token in tokens], **more}


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (logprobs("hello", " you"), True),
        (logprobs("hello"), False),
        (logprobs("hello", " you", note="jane"), True),  # a text of its own
        (logprobs("hello", " you", topCandidates=[{"candidates": [{"token": "x"}]}]), True),
        ({"chosenCandidates": [{"token": "hello you", "note": "jane"}]}, False),
        ({"chosenCandidates": [{"token": 7}]}, False),
        ({"chosenCandidates": "hello you"}, False),
        ({}, False),
        ("hello you", False),
    ],
)
def test_log_probabilities_stay_only_where_they_repeat_exactly_what_was_inspected(said, kept):
    body = event({"text": "hello"}, {"text": "hm", "thought": True}, {"text": " you"}, logprobsResult=said)
    place = ("candidates", 0, "logprobsResult")
    assert FORMAT.echoes(body, set()) == ([] if kept else [place])
    assert FORMAT.echoes([body], set()) == ([] if kept else [(0, *place)])
    assert FORMAT.echoes(body, {("candidates", 0, "content", "parts", 0, "text")}) == [place]
    assert FORMAT.echoes(body, {("modelVersion",)}) == FORMAT.echoes(body, set())


def test_alternatives_of_tokens_are_texts():
    more = {"topCandidates": [{"candidates": [{"token": "jane"}]}], "note": "john"}
    body = event({"text": "hi"}, logprobsResult=logprobs("hi", **more))
    assert [span.text for span in FORMAT.response_spans(body)] == ["hi", "jane\njohn"]


# what a body says about itself


@pytest.mark.parametrize(
    ("counts", "wanted"),
    [
        ({"promptTokenCount": 5, "candidatesTokenCount": 7, "totalTokenCount": 12}, Usage(5, 7)),
        (
            {
                "promptTokenCount": 50,
                "cachedContentTokenCount": 20,
                "toolUsePromptTokenCount": 4,
                "candidatesTokenCount": 7,
                "thoughtsTokenCount": 30,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 41}, {"modality": "AUDIO", "tokenCount": 9}],
                "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 3}],
            },
            Usage(54, 37, cached=20, reasoning=30, audio_input=9, audio_output=3),
        ),
        ({"prompt_token_count": "5"}, Usage(5)),
        ({"promptTokenCount": -1, "candidatesTokenCount": True, "promptTokensDetails": [7]}, Usage()),
        ({}, Usage()),
        (None, None),
        ([], None),
    ],
)
def test_usage_is_what_the_provider_counted(counts, wanted):
    assert FORMAT.usage({"usageMetadata": counts}) == wanted
    assert FORMAT.usage([{"usageMetadata": {"promptTokenCount": 99}}, {"usageMetadata": counts}, {}]) == (
        wanted or Usage(99)
    )
    assert FORMAT.usage({}) is FORMAT.usage([]) is FORMAT.usage(None) is None


def test_the_path_names_the_model_and_asks_for_the_stream():
    assert FORMAT.model({"model": "m"}) is None
    assert FORMAT.streamed({"stream": True}) is False


def test_no_event_is_like_another():
    assert FORMAT.streamed_text == b""
    assert FORMAT.without_padding(b"abc") == b"abc"


# what we say


def said(raw):
    stream = EventStream(1 << 20)
    return [json.loads(each.data) for each in [*stream.feed(raw), *stream.close()]]


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (400, "INVALID_ARGUMENT"), (401, "UNAUTHENTICATED"), (403, "PERMISSION_DENIED"), (404, "NOT_FOUND"),
        (413, "INVALID_ARGUMENT"), (422, "INVALID_ARGUMENT"), (429, "RESOURCE_EXHAUSTED"), (500, "INTERNAL"),
        (502, "UNAVAILABLE"), (503, "UNAVAILABLE"), (504, "DEADLINE_EXCEEDED"), (418, "INVALID_ARGUMENT"),
    ],
)  # fmt: skip
def test_an_error_has_the_shape_of_googles(status, word):
    error = json.loads(FORMAT.error(status, "pii", 'say "no"', "policy_violation", "contents"))["error"]
    assert (error["code"], error["message"], error["status"]) == (status, 'say "no"', word)
    assert error["details"][0]["reason"] == "pii"
    assert error["details"][1]["fieldViolations"][0]["field"] == "contents"
    assert FORMAT.error_headers(status) == ()


def test_an_error_in_a_stream_begins_with_its_name():
    raw = FORMAT.error_event("pii", "no\nmore", "policy_violation")
    assert raw.startswith(b'data: {"error":')
    assert raw.endswith(b"\n\n")
    assert [each["error"]["code"] for each in said(raw)] == [400]


def test_nothing_of_ours_stands_between_events():
    assert FORMAT.framing.keep_alive == b""


def test_the_list_of_models():
    assert json.loads(FORMAT.models([])) == {"models": []}
    first, second = json.loads(FORMAT.models(["a", "b"]))["models"]
    assert (first["name"], second["name"]) == ("models/a", "models/b")
    assert "generateContent" in first["supportedGenerationMethods"]


def test_small_operations_answer_in_their_own_shapes():
    assert json.loads(GeminiCount().reply("no", "m", "r", 1)) == {"totalTokens": 0}
    assert json.loads(GeminiEmbed().reply("no", "m", "r", 1)) == {"embedding": {"values": []}}
    assert {each.codec for each in (GeminiCount(), GeminiEmbed())} == {None}


def ending(*events):
    one = FORMAT.ending()
    for each in events:
        one.see(each)
    return said(one.end("no"))[0]


def test_a_stream_ends_as_one_that_a_filter_stopped():
    value = ending(event({"text": "a"}, index=0), event({"text": "b"}, index=2), event(finish="STOP", index=2))
    assert [(each["index"], each["finishReason"]) for each in value["candidates"]] == [(0, "SAFETY")]
    assert value["candidates"][0]["content"] == {"parts": [{"text": "no"}], "role": "model"}
    assert (value["modelVersion"], value["responseId"]) == ("m", "r")


def test_a_stream_that_nobody_has_seen_yet_or_that_has_ended_can_end():
    assert [each["index"] for each in ending()["candidates"]] == [0]
    assert [each["index"] for each in ending(event({"text": "a"}, finish="STOP", index=3))["candidates"]] == [3]
    assert ending(7, {"candidates": 7}, {"candidates": [7, {"index": "x"}]})["candidates"][0]["index"] == 0
    assert said(FORMAT.ending().end(""))[0]["candidates"][0]["content"]["parts"] == []


def cut(body, *cuts):
    """What is left of an answer after cuts at these paths, as ``exchange.whole`` puts them together."""
    edits = {}
    for path, text in cuts:
        new = FORMAT.cut(body, path, text)
        edits |= {place: value for place, value in new.items() if edits.get(place) != b"null"}
    return parse(replace(json.dumps(body).encode(), edits))


def test_an_answer_that_is_cut_says_nothing_after_that():
    body = event(
        {"text": "before"},
        {"text": "here it is", "thoughtSignature": BLOB},
        {"functionCall": {"name": "f", "args": {"a": "b"}}},
        {"text": "after", "thought": True},
        finish="STOP",
        groundingMetadata={"webSearchQueries": ["x"]},
        avgLogprobs=-1.0,
    )
    here = ("candidates", 0, "content", "parts", 1, "text")
    for left in (cut(body, (here, "here")), cut([body], ((0, *here), "here"))[0]):
        (candidate,) = left["candidates"]
        assert candidate["finishReason"] == "SAFETY"
        assert candidate["groundingMetadata"] is None
        assert candidate["avgLogprobs"] == -1.0
        assert candidate["content"]["parts"] == [
            {"text": "before"},
            {"text": "here", "thoughtSignature": None},
            {"functionCall": None},
            {"text": None, "thought": True},
        ]


def test_several_cuts_leave_what_the_first_leaves():
    parts = [{"text": "one"}, {"functionCall": {"name": "f", "args": {"a": "bad"}}}, {"text": "three"}]
    body = event(*parts, finish="STOP", finishMessage="bad")
    places = [
        (("candidates", 0, "content", "parts", 0, "text"), "o"),
        (("candidates", 0, "content", "parts", 1, "functionCall", "args", "a"), "b"),
        (("candidates", 0, "content", "parts", 2, "text"), "t"),
        (("candidates", 0, "finishMessage"), "b"),
    ]
    wanted = [{"text": "o"}, {"functionCall": None}, {"text": None}]
    for order in (places, places[::-1]):
        (candidate,) = cut(body, *order)["candidates"]
        assert candidate["content"]["parts"] == wanted
        assert candidate["finishMessage"] is None


def test_a_call_is_never_left_half():
    body = event({"text": "one"}, {"functionCall": {"name": "f", "args": {"a": "bad"}}}, finish="STOP")
    left = cut(body, (("candidates", 0, "content", "parts", 1, "functionCall", "args", "a"), "b"))
    assert left["candidates"][0]["content"]["parts"] == [{"text": "one"}, {"functionCall": None}]


def test_cuts_elsewhere():
    assert cut({"error": {"message": "abc"}}, (("error", "message"), "a")) == {"error": {"message": "a"}}
    odd = {"candidates": [{"content": "abc"}, {"content": {"parts": ["abc", {"text": "x"}]}}]}
    assert cut(odd, (("candidates", 0, "content"), "a"))["candidates"][0] == {"content": "a"}
    left = cut(odd, (("candidates", 1, "content", "parts", 0), "a"))["candidates"][1]
    assert left == {"content": {"parts": [None, {"text": None}]}}
