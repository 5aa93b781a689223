"""The Responses API as the guards see it: no recorded string escapes; scopes, order, replies."""

import json

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response
from openai.types.responses.response_stream_event import ResponseStreamEvent
from pydantic import TypeAdapter

from extproc.chat.answer import Usage
from extproc.formats.openai_responses import OpenAIResponses, texts
from extproc.framing.jsontext import parse, replace
from extproc.policy.api import Scope
from tests.golden.responses import exchanges, last, sse, streams
from tests.unit.formats.media import BLOB, PROSE, TOKEN, leaves, name, put

FORMAT = OpenAIResponses()
EVENTS = TypeAdapter(ResponseStreamEvent)

STRUCTURE = {
    "names that an API gives to things, and takes back": {
        "id", "item_id", "call_id", "response_id", "previous_response_id", "conversation", "container_id", "file_id",
        "approval_request_id", "model", "object", "service_tier",
    },
    "one of a few words that an API knows; others it refuses": {
        "role", "type", "status", "phase", "detail", "format", "effort", "verbosity", "truncation", "tool_choice",
        "prompt_cache_retention",
    },
    "random letters that hide a length": {"obfuscation"},
}  # fmt: skip
"""Names whose value is not looked at while it is one short token, as it always is; any prose under them is."""
TOKENS = frozenset().union(*STRUCTURE.values())
BINARY = {"image_url", "file_data", "data", "url", "encrypted_content", "result", "partial_image_b64"}
"""Names whose value is not looked at while it is encoded binary data."""


def echoed(path):
    """Log probabilities repeat the text; they are dropped with it (``echoes``)."""
    return "logprobs" in path


def check(values, spans):
    """Put markers into every string of every value; returns how many there were."""
    count = 0
    for file, value in values:
        for path in leaves(value):
            for text, known in ((PROSE, ()), (TOKEN, TOKENS), (BLOB, BINARY)):
                seen = {each.path: each.text for each in spans(put(value, path, text))}
                assert seen.get(path) == text or echoed(path) or name(path) in known, (file, path, text)
            count += 1
    return count


def test_the_list_of_structure_is_the_codes():
    assert texts.SKIP == TOKENS
    assert texts.BLOBS == BINARY


@pytest.mark.data
def test_no_string_of_a_recorded_request_escapes():
    values = [(name, json.loads(each["request"]["body"])) for name, each in exchanges()]
    assert check([each for each in values if len(json.dumps(each[1])) < 9000], FORMAT.request_spans) > 400


@pytest.mark.data
def test_no_string_of_a_recorded_answer_escapes():
    found = [(name, each["response"]["body"]) for name, each in exchanges()]
    values = [(name, json.loads(body)) for name, body in found if body.startswith("{") and len(body) < 4000]
    assert check(values, FORMAT.response_spans) > 400


@pytest.mark.data
def test_no_string_of_a_recorded_event_escapes():
    values = {}
    for stream, raw in streams().items():
        for _, data in sse(raw):
            if data != b"[DONE]" and len(data) < 5000:
                event = json.loads(data)
                values.setdefault((stream, event["type"]), event)
    assert len({kind for _, kind in values}) > 15
    assert check(values.items(), lambda event: FORMAT.delta(event).pieces) > 500


NAMES = st.sampled_from(
    [
        "",
        "input",
        "output",
        "content",
        "delta",
        "text",
        "item",
        "part",
        "response",
        "id",
        "arguments",
        "url",
        "new",
        "error",
    ]
)
ANY = st.recursive(
    st.sampled_from(["a b", None, True, 0, 7]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)
KINDS = st.sampled_from(
    ["response.output_text.delta", "response.output_text.done", "response.output_item.added", "response.completed", "error",
     "response.new.delta", "response.function_call_arguments.done", "response.content_part.done", "response.new", "new"]
)  # fmt: skip


@given(st.dictionaries(NAMES, ANY, max_size=5), KINDS)
def test_no_string_escapes_wherever_it_stands(body, kind):
    strings = set(leaves(body))
    assert {span.path for span in FORMAT.request_spans(body)} == strings
    assert {span.path for span in FORMAT.response_spans(body)} == strings
    assert {piece.path for piece in FORMAT.delta(body).pieces} == strings
    assert {piece.path for piece in FORMAT.delta({**body, "type": kind}).pieces} == strings


@pytest.mark.parametrize(
    "body", [[], ["a b"], "a b", None, 1, {"output": "a b"}, {"output": ["a b", None, {"content": "a b"}]}]
)
def test_any_json_has_its_strings_found(body):
    strings = list(leaves(body))
    assert [span.path for span in FORMAT.response_spans(body)] == strings
    assert [piece.path for piece in FORMAT.delta(body).pieces] == strings


# scopes

REQUEST = {
    "model": "m",
    "instructions": "1",
    "input": [
        {"role": "system", "content": "2"},
        {"role": "developer", "content": [{"type": "input_text", "text": "3"}]},
        {"role": "user", "content": [{"type": "input_text", "text": "4"}, {"type": "input_image", "image_url": "5 6"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "7"}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "8"}], "content": [{"text": "9"}]},
        {"type": "function_call", "name": "10", "arguments": "11"},
        {"type": "function_call_output", "output": "12"},
        {"type": "custom_tool_call", "input": "13"},
        {"type": "mcp_call", "arguments": "14", "output": "15"},
        {"type": "new", "x": "16"},
        "17",
        {"role": 7, "content": "18"},
    ],
    "tools": [{"type": "function", "name": "19", "parameters": {"description": "20"}}],
    "text": {"format": {"type": "json_schema", "name": "21"}},
    "user": "22",
    "prompt": {"variables": {"k": "23"}},
}


def test_whose_words_a_requests_texts_are():
    s, u, a, r, i, o = Scope.SYSTEM, Scope.USER, Scope.ASSISTANT, Scope.REASONING, Scope.TOOL_INPUT, Scope.TOOL_OUTPUT
    wanted = dict(
        zip(map(str, range(1, 24)), [s, s, s, u, u, u, a, r, r, i, i, o, i, i, o, u, u, u, s, s, s, u, u], strict=True)
    )
    del wanted["5"], wanted["6"]
    wanted["5 6"] = u
    assert {span.text: span.scope for span in FORMAT.request_spans(REQUEST)} == wanted
    assert [span.text for span in FORMAT.request_spans(REQUEST) if span.json] == ["11", "14"]


def test_what_no_rule_can_read_is_told():
    items = [
        {
            "role": "user",
            "content": [{"type": "input_image"}, {"type": "input_audio"}, {"type": "input_text", "text": "a"}],
        },
        {"type": "function_call_output", "output": [{"type": "input_file"}]},
        {"type": "computer_call_output", "output": {"type": "computer_screenshot"}},
    ]
    assert FORMAT.unscanned({"input": items}) == ["image", "audio", "file"]
    assert FORMAT.unscanned({"input": [{"type": "item_reference", "id": "a"}]}) == ["stored"]
    for stored in ("previous_response_id", "conversation", "prompt", "background"):
        assert FORMAT.unscanned({"input": "a", stored: "x"}) == ["stored"]
        assert FORMAT.unscanned({"input": "a", stored: None}) == []


def said(kind, **more):
    return {"type": kind, "output_index": 0, "item_id": "i", "sequence_number": 7, **more}


@pytest.mark.parametrize(
    ("stem", "place", "scope", "json_"),
    [
        ("output_text", "content_index", Scope.ASSISTANT, False),
        ("refusal", "content_index", Scope.ASSISTANT, False),
        ("reasoning_text", "content_index", Scope.REASONING, False),
        ("reasoning_summary_text", "summary_index", Scope.REASONING, False),
        ("function_call_arguments", "x", Scope.TOOL_INPUT, True),
        ("custom_tool_call_input", "x", Scope.TOOL_INPUT, False),
        ("mcp_call_arguments", "x", Scope.TOOL_INPUT, True),
        ("code_interpreter_call_code", "x", Scope.TOOL_INPUT, False),
        ("shell_call_command", "command_index", Scope.TOOL_INPUT, False),
    ],
)
def test_a_text_goes_on_until_it_is_done(stem, place, scope, json_):
    first, second = (FORMAT.delta(said(f"response.{stem}.delta", delta=text, **{place: 0})) for text in "ab")
    (piece,) = first.pieces
    assert (piece.text, piece.scope, piece.json, piece.joined) == ("a", scope, json_, False)
    assert second.pieces[0].track == piece.track
    assert (first.lane, first.final, first.telling, first.closes) == (second.lane, False, True, ())
    done = FORMAT.delta(said(f"response.{stem}.done", text="ab", **{place: 0}))
    item = FORMAT.delta(said("response.output_item.done", item=made(stem)))
    assert piece.track in (*done.closes, *item.closes)
    assert done.lane == item.lane == first.lane
    (again,) = done.pieces
    assert (again.text, again.scope, again.json) == ("ab", scope, json_)
    assert again.track != piece.track


def made(stem):
    if stem in ("output_text", "refusal"):
        return {"type": "message"}
    return {"type": "reasoning", "summary": [{}], "content": [{}]} if "reasoning" in stem else {"type": "function_call"}


def test_different_texts_have_different_tracks():
    places = [
        said("response.output_text.delta", delta="a", content_index=0),
        {**said("response.output_text.delta", delta="a", content_index=0), "output_index": 1},
        said("response.refusal.delta", delta="a", content_index=0),
        said("response.reasoning_summary_text.delta", delta="a", summary_index=0),
        said("response.reasoning_summary_text.delta", delta="a", summary_index=1),
        said("response.function_call_arguments.delta", delta="a"),
        {**said("response.function_call_arguments.delta", delta="a"), "output_index": None},
    ]
    assert len({FORMAT.delta(event).pieces[0].track for event in places}) == len(places)
    parts = [said("response.output_text.delta", delta="a", content_index=at) for at in (0, 1)]
    assert len({FORMAT.delta(event).pieces[0].track for event in parts}) == 1  # one message is one text


@pytest.mark.parametrize("index", ["0", 0.0, -1, True, [], {}])
def test_an_index_that_is_none_is_refused(index):
    with pytest.raises(Exception, match="not a number"):
        FORMAT.delta({"type": "response.output_text.delta", "delta": "a", "output_index": index})


@pytest.mark.parametrize(
    ("event", "telling", "final"),
    [
        (said("response.created", response={"instructions": "a b"}), False, False),
        (said("response.output_item.added", item={"type": "message", "content": []}), False, False),
        (said("response.output_item.added", item={"type": "function_call", "name": "f"}), True, False),
        (said("response.content_part.added", part={"type": "output_text", "text": ""}), False, False),
        (said("response.output_text.delta", delta=""), False, False),
        (said("response.web_search_call.searching"), True, False),
        (said("response.completed", response={}), True, True),
        (said("response.incomplete", response={}), True, True),
        (said("error", message="a b"), True, True),
    ],
)
def test_what_a_client_could_notice(event, telling, final):
    delta = FORMAT.delta(event)
    assert (delta.telling, delta.final) == (telling, final)


def test_sound_is_no_text_but_prose_in_its_place_is():
    assert FORMAT.delta(said("response.audio.delta", delta="QUJD" * 30)).pieces == []
    assert FORMAT.delta(said("response.audio.delta", delta="a b")).pieces[0].text == "a b"


# log probabilities


@pytest.mark.parametrize(
    ("holder", "kept"),
    [
        ({"text": "hi you", "logprobs": [{"token": "hi"}, {"token": " you", "bytes": [32, 121, 111, 117]}]}, True),
        ({"delta": "hi", "logprobs": [{"token": "hi", "logprob": -1.0, "top_logprobs": []}]}, True),
        ({"text": "hi", "logprobs": []}, True),
        ({"text": "hi", "logprobs": None}, True),
        ({"text": "hi", "logprobs": [{"token": "jane@example.com"}]}, False),
        ({"delta": "hi", "logprobs": "jane@example.com"}, False),
    ],
)
def test_log_probabilities_stay_only_where_they_repeat_what_was_inspected(holder, kept):
    bodies = [
        (holder, ()),
        ({"part": holder}, ("part",)),
        ({"item": {"content": [holder]}}, ("item", "content", 0)),
        ({"output": [{"content": [holder]}]}, ("output", 0, "content", 0)),
        ({"response": {"output": [{"content": [holder]}]}}, ("response", "output", 0, "content", 0)),
    ]
    for body, path in bodies:
        assert FORMAT.echoes(body, set()) == ([] if kept else [(*path, "logprobs")])
        text = "delta" if "delta" in holder else "text"
        if holder["logprobs"]:
            assert FORMAT.echoes(body, {(*path, text)}) == [(*path, "logprobs")]
    assert FORMAT.echoes([], set()) == FORMAT.echoes({"output": 5, "item": [], "part": "x"}, set()) == []


# what a body says about itself


@pytest.mark.parametrize(
    ("usage", "wanted"),
    [
        ({"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}, Usage(5, 7)),
        (
            {"input_tokens": 5, "output_tokens": 7, "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1},
             "output_tokens_details": {"reasoning_tokens": 3}},
            Usage(5, 7, 2, 3, 1),
        ),
        ({"input_tokens": "5", "output_tokens": -1, "input_tokens_details": [1]}, Usage()),
        (None, None),
        ([1], None),
    ],
)  # fmt: skip
def test_usage_is_what_the_provider_counted(usage, wanted):
    assert FORMAT.usage({"usage": usage}) == FORMAT.usage({"response": {"usage": usage}}) == wanted
    assert FORMAT.usage({}) is FORMAT.usage([]) is FORMAT.usage({"response": 1}) is None


def test_an_error_in_a_stream_is_one_to_the_sdk():
    ((name, data),) = sse(FORMAT.error_event("blocked", "no\nmore", "policy_violation"))
    event = EVENTS.validate_json(data)
    assert (name, event.type, event.code, event.message) == ("error", "error", "blocked", "no\nmore")
    told = json.loads(data)["error"]  # where the SDK looks for what to raise
    assert told == {"type": "policy_violation", "code": "blocked", "message": "no\nmore", "param": None}


def test_a_reply_is_a_whole_answer_to_the_sdk():
    answer = Response.model_validate_json(FORMAT.reply('no "jokes"', "m", "r1", 17))
    assert (answer.id, answer.created_at, answer.model, answer.status) == ("resp_r1", 17, "m", "completed")
    assert (answer.output_text, answer.usage.total_tokens) == ('no "jokes"', 0)
    refused = Response.model_validate_json(FORMAT.reply("no", "m", "r1", 17, refuses=True))
    assert (refused.status, refused.incomplete_details.reason) == ("incomplete", "content_filter")


@pytest.mark.parametrize("refuses", [False, True])
def test_a_reply_stream_is_a_whole_stream_to_the_sdk(refuses):
    raw = FORMAT.reply_stream("no\njokes", "m", "r1", 17, refuses=refuses)
    found = [EVENTS.validate_json(data) for _, data in sse(raw)]
    assert "".join(event.delta for event in found if event.type == "response.output_text.delta") == "no\njokes"
    assert last(raw) == json.loads(FORMAT.reply("no\njokes", "m", "r1", 17, refuses=refuses))


def test_the_list_of_models():
    page = openai.types.Model.model_validate(json.loads(FORMAT.models(["a", "b"]))["data"][1])
    assert (page.id, page.object) == ("b", "model")


# answers that are cut


def test_a_cut_answer_ends_in_its_text():
    raw = json.dumps(
        {
            "status": "completed",
            "incomplete_details": None,
            "output": [
                {"id": "msg_0", "type": "message", "content": [{"type": "output_text", "text": "kept"}]},
                {"id": "msg_1", "type": "message", "status": "completed",
                 "content": [{"type": "output_text", "text": "some secret", "logprobs": [{"token": "some secret"}]},
                             {"type": "refusal", "refusal": "more"}]},
                {"id": "fc_1", "type": "function_call", "arguments": "{}"},
            ],
        }
    ).encode()  # fmt: skip
    body = parse(raw)
    found = parse(replace(raw, dict(FORMAT.cut(body, ("output", 1, "content", 0, "text"), "some "))))
    assert (found["status"], found["incomplete_details"]) == ("incomplete", {"reason": "content_filter"})
    assert found["output"][0] == body["output"][0]
    assert found["output"][1]["status"] == "incomplete"
    first, second = found["output"][1]["content"]
    assert (first["text"], first["logprobs"], second["refusal"]) == ("some ", [], "")
    assert found["output"][2]["content"] == []
    call = parse(replace(raw, dict(FORMAT.cut(body, ("output", 2, "arguments"), "{"))))
    assert [item["type"] for item in call["output"]] == ["message"] * 3
    assert call["output"][:2] == body["output"][:2]
    assert FORMAT.cut({"error": {"message": "a b"}}, ("error", "message"), "a") == {("error", "message"): b'"a"'}


@pytest.mark.parametrize(
    "output", ["a b", {"x": {"y": "a b"}}, [["a b"]], [{"content": "a b"}], [{"content": [["a b"]]}]]
)
def test_an_answer_of_any_form_can_be_cut(output):
    body = {"output": output}
    for span in FORMAT.response_spans(body):
        cut = FORMAT.cut(body, span.path, "a")
        assert "a b" not in replace(json.dumps(body).encode(), dict(cut)).decode()
