"""Converse, the guard's side: whose words texts are, what is cut and counted."""

import itertools
import json
from base64 import b64encode
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.exchange.whole import inspect
from extproc.formats.bedrock import CountTokens
from extproc.policy.api import Action, Phase, Scope, Style, Tally
from extproc.policy.chain import Chain
from tests.property.streams import policy, words
from tests.unit.formats.bedrock.support import (
    FORMAT,
    MAIL,
)

# requests

REQUEST = {
    "messages": [
        {
            "role": "user",
            "content": [
                {"text": "1"},
                {"image": {"format": "png", "source": {"bytes": "aGk="}}},
                {"cachePoint": {"type": "default"}},
                {"document": {"format": "txt", "name": "2", "source": {"text": "3"}, "context": "4"}},
                {"guardContent": {"text": {"text": "5", "qualifiers": ["query"]}}},
                {"searchResult": {"source": "6", "title": "7", "content": [{"text": "8"}]}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"text": "9"},
                {"reasoningContent": {"reasoningText": {"text": "10", "signature": "QUJD" * 20}}},
                {"toolUse": {"toolUseId": "t", "name": "11", "input": {"role": "12", "id": "13", "bytes": "14"}}},
                {"citationsContent": {"content": [{"text": "15"}], "citations": [{"title": "16"}]}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "toolResult": {
                        "toolUseId": "t",
                        "status": "error",
                        "content": [
                            {"json": {"status": "17"}},
                            {"text": "18"},
                            {"document": {"name": "19", "source": {"text": "20"}}},
                        ],
                    }
                }
            ],
        },
        {"role": "system", "content": [{"text": "21"}]},
        {"role": "strange", "content": "22"},
        "23",
    ],
    "system": [{"text": "24"}],
    "toolConfig": {
        "tools": [{"toolSpec": {"name": "25", "description": "26", "inputSchema": {"json": {"type": "27"}}}}],
        "toolChoice": {"tool": {"name": "28"}},
    },
    "inferenceConfig": {"stopSequences": ["29"]},
    "additionalModelRequestFields": {"type": "30"},
    "promptVariables": {"p": {"text": "31"}},
    "requestMetadata": {"role": "32"},
    "outputConfig": {
        "textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": '{"33":1}', "name": "34"}}}
    },
    "new": "35",
}


def test_whose_words_a_requests_texts_are():
    s, u, a, r, i, o = Scope.SYSTEM, Scope.USER, Scope.ASSISTANT, Scope.REASONING, Scope.TOOL_INPUT, Scope.TOOL_OUTPUT
    groups = [
        (u, "1 2 3 4 5 6 7 8 22 23 29 30 31 32 35"),
        (a, "9 15 16"),
        (r, "10"),
        (i, "11 12 13 14"),
        (o, "17 18 19 20"),
        (s, "21 24 25 26 27 28 34"),
    ]
    wanted = {each: scope for scope, names in groups for each in names.split()} | {'{"33":1}': s, "aGk=": u}
    found = FORMAT.request_spans(REQUEST)
    assert {span.text: span.scope for span in found} == wanted
    assert [span.text for span in found if span.json] == ['{"33":1}']


def test_what_no_rule_can_read_is_named():
    assert FORMAT.unscanned(REQUEST) == ["file", "image"]
    inner = {"toolResult": {"content": [{"video": {}}, {"image": {}}]}}
    assert FORMAT.unscanned({"messages": [{"content": [inner, {"guardContent": {"image": {}}}]}]}) == ["image", "video"]
    assert FORMAT.unscanned({"messages": [{"content": [{"toolUse": {"input": {"image": 1}}}]}], "system": 7}) == []


def test_model_and_stream_are_the_paths():
    assert FORMAT.model({"model": "m", "modelId": "m"}) is None
    assert FORMAT.streamed({"stream": True}) is False


NAMES = st.sampled_from(
    [
        "output",
        "message",
        "messages",
        "content",
        "text",
        "toolUse",
        "toolResult",
        "input",
        "json",
        "reasoningContent",
        "toolConfig",
        "tools",
        "toolSpec",
        "inputSchema",
        "outputConfig",
        "new",
        "usage",
        "contentBlockDelta",
        "delta",
    ]
)
ANY = st.recursive(
    st.sampled_from(["a b", None, True, 0, 7]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


def leaves(value, path=()):
    if isinstance(value, str):
        yield path
    for key, child in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from leaves(child, (*path, key))


@given(st.dictionaries(NAMES, ANY, max_size=4), ANY)
def test_no_string_escapes_wherever_it_stands(body, value):
    strings = set(leaves(body))
    assert {span.path for span in FORMAT.request_spans(body)} == strings
    assert {span.path for span in FORMAT.response_spans(body)} == strings
    assert {span.path for span in FORMAT.response_spans(value)} == set(leaves(value))
    assert {span.path for span in CountTokens().request_spans(body)} == strings
    for name, inner in (
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": value}),
        ("messageStop", value),
        ("x", value),
    ):
        said = {name: inner}
        assert {piece.path for piece in FORMAT.delta(said).pieces} == set(leaves(said))


# whole answers


def whole(content, *policies):
    body = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "end_turn"}
    raw = json.dumps(body).encode()
    decision, out = inspect(FORMAT, Chain(policies), Phase.RESPONSE, raw, body, Tally())
    return decision, json.loads(out)


def test_texts_of_an_answer_are_redacted_in_place():
    content = [
        {"text": "to jane@example.com"},
        {"toolUse": {"toolUseId": "t", "name": "f", "input": {"p": ["jane@example.com"]}}},
        {"reasoningContent": {"reasoningText": {"text": "jane@example.com", "signature": "s"}}},
    ]
    _, found = whole(content, MAIL)
    assert json.dumps(found).count("[mail]") == 3
    assert "jane" not in json.dumps(found)


@pytest.mark.parametrize(
    ("block", "left"),
    [
        ({"text": "before zyzzyva after"}, {"text": "before "}),
        ({"text": "before zyzzyva after", "odd": "x"}, {"text": "before "}),
        (
            {"reasoningContent": {"reasoningText": {"text": "before zyzzyva", "signature": "s"}}},
            {"reasoningContent": {"reasoningText": {"text": "before "}}},
        ),
        ({"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": "before zyzzyva"}}}, {"text": ""}),
        ({"citationsContent": {"content": [{"text": "before zyzzyva"}]}}, {"text": "before "}),
    ],
)
def test_an_answer_that_is_cut_ends_in_its_text(block, left):
    body = {
        "output": {"message": {"content": [{"text": "one"}, block, {"text": "zyzzyva"}, {"toolUse": {"name": "f"}}]}}
    }
    (span,) = [each for each in FORMAT.response_spans(body) if "before" in each.text]
    edits = FORMAT.cut(body, span.path, "before ")
    assert {path: json.loads(value) for path, value in edits.items()} == {
        ("output", "message", "content", 1): left,
        ("output", "message", "content", 2): {"text": ""},
        ("output", "message", "content", 3): {"text": ""},
        ("stopReason",): "guardrail_intervened",
    }
    assert FORMAT.cut(body, ("message",), "a") == {("message",): b'"a"'}


def test_of_two_cuts_the_first_one_stands():
    stops = [
        replace(policy(name, words(word), action=Action.BLOCK), style=Style.TRUNCATE)
        for name, word in (("p", "zyzzyva"), ("q", "quux"))
    ]
    for order in itertools.permutations(stops):
        _, found = whole([{"text": "a"}, {"text": "b quux c"}, {"text": "d zyzzyva e"}, {"text": "f"}], *order)
        assert [each["text"] for each in found["output"]["message"]["content"]] == ["a", "b ", "", ""]
        assert found["stopReason"] == "guardrail_intervened"


# counting


def test_a_count_is_asked_for_the_same_texts():
    count = CountTokens()
    spans = count.request_spans({"input": {"converse": REQUEST}})
    assert [span.text for span in spans] == [span.text for span in FORMAT.request_spans(REQUEST)]
    assert all(span.path[:2] == ("input", "converse") for span in spans)
    assert count.unscanned({"input": {"converse": REQUEST}}) == ["file", "image"]
    assert count.unscanned({"input": 7}) == []
    assert json.loads(count.reply("x", "m", "r", 1)) == {"inputTokens": 0}
    assert count.codec is None


def test_a_body_that_is_counted_is_judged_but_never_changed():
    inner = {"messages": [{"role": "user", "content": "to jane@example.com"}]}
    body = {"input": {"invokeModel": {"body": b64encode(json.dumps(inner).encode()).decode(), "x": "y z"}}}
    found = [(span.text, span.fixed) for span in CountTokens().request_spans(body)]
    assert found == [("y z", False), ("user", True), ("to jane@example.com", True)]
    raw = json.dumps(body).encode()
    decision, out = inspect(CountTokens(), Chain([MAIL]), Phase.REQUEST, raw, body, Tally())
    assert (decision.outcome.name, out) == ("BLOCK", raw)
    for odd in ("to jane@example.com", b64encode(b"no json").decode(), "e"):
        texts = [span.text for span in CountTokens().request_spans({"input": {"invokeModel": {"body": odd}}})]
        assert texts == [odd]
