"""No string of any recorded request, answer or event of messages escapes; whose words each is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.errors import DecodeError
from extproc.formats.anthropic import AnthropicCount
from extproc.formats.anthropic.texts import BLOBS, SKIP
from extproc.policy.api import Scope
from tests.golden.anthropic_wire import answers, requests, streams
from tests.property.test_placement import MARKER, WORD, strings, variants
from tests.unit.formats.anthropic.support import (
    FORMAT,
    REQUEST,
)

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
