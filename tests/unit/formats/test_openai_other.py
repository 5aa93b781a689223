"""OpenAI's operations beside chat: every string is seen, what cannot be read is told, and what we say is in their shape."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Completion, CreateEmbeddingResponse, ImagesResponse, ModerationCreateResponse

from extproc.chat.answer import Usage
from extproc.errors import DecodeError
from extproc.exchange.streamed import GuardedStream
from extproc.formats.openai_completions import OpenAICompletions
from extproc.formats.openai_other import OpenAIEmbeddings, OpenAIImages, OpenAIModerations, OpenAIOther
from extproc.framing.sse import EventStream
from extproc.policy.api import Action, Scope, Style, Tally
from extproc.policy.chain import Chain
from extproc.usage import Meter
from tests.property.streams import policy, recorded, regex, sse, words
from tests.support import data
from tests.unit.formats.media import leaves, put

COMPLETIONS, EMBEDDINGS, MODERATIONS = OpenAICompletions(), OpenAIEmbeddings(), OpenAIModerations()
IMAGES, OTHER = OpenAIImages(), OpenAIOther()
ALL = (COMPLETIONS, EMBEDDINGS, MODERATIONS, IMAGES, OTHER)
PATHS = {"/completions": COMPLETIONS, "/embeddings": EMBEDDINGS, "/images/generations": IMAGES}
PROSE = "marker, in prose: mark.person@example.com"
TOKEN = "marker-token"
STRUCTURE = {
    "id", "object", "model", "type", "role", "finish_reason", "native_finish_reason", "system_fingerprint", "service_tier",
    "encoding_format", "size", "quality", "background", "output_format", "response_format", "style", "moderation",
    "input_fidelity",
}  # fmt: skip
"""One short token of these is a name or one of a few words that the API knows."""


def exchanges():
    for path in sorted(data("wire/openai_other").glob("*.json")):
        for each in json.loads(path.read_text("utf-8"))["exchanges"]:
            for end, format_ in PATHS.items():
                if each["request"]["url"].endswith(end):
                    yield path.stem, format_, json.loads(each["request"]["body"]), each["response"]


def check(value, spans):
    count = 0
    for path in leaves(value):
        assert any(span.path == path and span.text == PROSE for span in spans(put(value, path, PROSE))), path
        name = next((step for step in reversed(path) if isinstance(step, str)), "")
        seen = any(span.path == path for span in spans(put(value, path, TOKEN)))
        assert seen or name in STRUCTURE, path
        count += 1
    return count


@pytest.mark.data
def test_no_string_of_a_recorded_exchange_escapes():
    count = 0
    for _, format_, request, response in exchanges():
        count += check(request, format_.request_spans)
        for line in response["body"].splitlines():
            if line.startswith("data: {"):
                count += check(json.loads(line[6:]), lambda event, format_=format_: format_.delta(event).pieces)
        if response["body"].startswith("{"):
            count += check(json.loads(response["body"]), format_.response_spans)
    for raw in completions():
        for line in raw.decode().splitlines()[:40]:
            if line.startswith("data: {"):
                count += check(json.loads(line[6:]), lambda event: COMPLETIONS.delta(event).pieces)
    assert count > 100


def completions():
    found = [raw for raw in recorded().values() if b'"text_completion"' in raw]
    assert len(found) >= 2
    return found


NAMES = st.sampled_from(["", "choices", "text", "logprobs", "tokens", "data", "url", "id", "b64_json", "usage", "new"])
ANY = st.recursive(
    st.sampled_from(["a b", None, True, 0, 7]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize("format_", ALL, ids=lambda each: each.name)
@given(ANY)
def test_no_string_escapes_wherever_it_stands(format_, body):
    """Log probabilities of completions are one text, without the tokens, which are compared instead."""
    strings = set(leaves(body))

    def missing(found):
        paths = {each.path for each in found}
        return {
            path
            for path in strings - paths
            if not (format_ is COMPLETIONS and path[2:3] == ("logprobs",) and (path[:3] in paths or "tokens" in path))
        }

    assert not missing(format_.response_spans(body))
    if isinstance(body, dict):
        assert strings == {span.path for span in format_.request_spans(body)}
    try:
        delta = format_.delta(body)
    except DecodeError:
        return
    assert not missing(delta.pieces)


# completions


def chunk(text, finish=None, index=0, logprobs=None):
    choice = {"text": text, "index": index, "logprobs": logprobs, "finish_reason": finish}
    return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}


def guarded(raw, *policies, size=0):
    stream = GuardedStream(COMPLETIONS, Chain(policies), Tally(), Meter(COMPLETIONS), 1 << 20, 4 << 20)
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)] if size else [raw]
    return b"".join([*map(stream.feed, pieces), stream.close()])


def told(raw):
    """What each choice says, and why it ended."""
    texts, ends = {}, {}
    for line in raw.decode().splitlines():
        if line.startswith("data: {"):
            for choice in json.loads(line[6:])["choices"]:
                texts[choice["index"]] = texts.get(choice["index"], "") + choice["text"]
                ends[choice["index"]] = choice["finish_reason"] or ends.get(choice["index"])
    return texts, ends


MAIL = policy("mail", regex(r"\b[a-z]{1,20}@[a-z]{1,20}\.com\b", "[mail]"))


@pytest.mark.parametrize("size", [0, 1, 7])
def test_what_is_split_over_events_is_found(size):
    raw = sse(chunk("ask jo"), chunk("no", index=1), chunk("e@exam"), chunk("ple.com!", "stop"), chunk("", "stop", 1))
    assert told(guarded(raw + b"data: [DONE]\n\n", MAIL, size=size)) == (
        {0: "ask [mail]!", 1: "no"},
        {0: "stop", 1: "stop"},
    )


@pytest.mark.data
def test_recorded_streams_leave_as_they_came():
    for raw in completions():
        for size in (0, 1, 13):
            assert guarded(raw, MAIL, size=size) == raw


def test_a_blocked_stream_ends_in_good_order():
    raw = sse(chunk("one "), chunk("two", index=1), chunk("bad word "), chunk("more", "stop"))
    for style, wanted in ((Style.TRUNCATE, {0: "one ", 1: "two"}), (Style.REFUSAL, None)):
        rule = policy("p", words("bad word"), action=Action.BLOCK)
        object.__setattr__(rule, "style", style)
        out = guarded(raw, rule)
        texts, ends = told(out)
        assert ends == {0: "content_filter", 1: "content_filter"}
        assert wanted is None or texts == wanted
        assert out.endswith(b"data: [DONE]\n\n")


def test_the_order_of_completion_events():
    assert COMPLETIONS.delta(chunk("a")).lane == COMPLETIONS.delta(chunk("b")).lane
    assert COMPLETIONS.delta(chunk("a")).lane != COMPLETIONS.delta(chunk("a", index=1)).lane
    final = COMPLETIONS.delta(chunk("", "stop"))
    assert (final.final, final.telling, final.pieces) == (True, True, [])
    assert COMPLETIONS.delta({**chunk(""), "choices": []}).lane is None
    two = {**chunk("a"), "choices": [chunk("a")["choices"][0], chunk("b", index=1)["choices"][0]]}
    assert COMPLETIONS.delta(two).lane is None
    assert [piece.track for piece in COMPLETIONS.delta(two).pieces] == [("text", 0), ("text", 1)]
    with pytest.raises(DecodeError):
        COMPLETIONS.delta(chunk("a", index="0"))


@pytest.mark.parametrize(
    ("text", "logprobs", "kept"),
    [
        ("hello you", {"tokens": ["hello", " you"], "token_logprobs": [-1, -2], "top_logprobs": None}, True),
        ("", {"tokens": []}, True),
        ("hello", {"tokens": ["jane@example.com"]}, False),
        ("hello", {"tokens": "hello"}, False),
        ("hello", {"tokens": ["hello", 5]}, False),
        ("hello", "hello", False),
    ],
)
def test_log_probabilities_stay_only_where_they_repeat_the_text(text, logprobs, kept):
    body = {"choices": [{"text": text, "logprobs": logprobs}]}
    assert COMPLETIONS.echoes(body, set()) == ([] if kept else [("choices", 0, "logprobs")])
    assert COMPLETIONS.echoes(body, {("choices", 0, "text")}) == [("choices", 0, "logprobs")]
    assert COMPLETIONS.echoes({}, set()) == COMPLETIONS.echoes([], set()) == []


def test_other_tokens_that_were_likely_are_texts():
    logprobs = {"tokens": ["a"], "top_logprobs": [{"jane@example.com": -1.0}]}
    (span,) = COMPLETIONS.response_spans({"choices": [{"text": "", "logprobs": logprobs}]})
    assert span.path == ("choices", 0, "logprobs")
    assert "jane@example.com" in span.text


def test_scopes_and_prompts():
    body = {"model": "m", "prompt": ["p q", "r s"], "suffix": "t u", "user": "v w"}
    assert [(span.text, span.scope) for span in COMPLETIONS.request_spans(body)] == [
        (text, Scope.USER) for text in ("p q", "r s", "t u", "v w")
    ]
    (span,) = COMPLETIONS.response_spans({"choices": [{"text": "a b"}]})
    assert span.scope is Scope.ASSISTANT


@pytest.mark.parametrize(
    ("format_", "body", "wanted"),
    [
        (COMPLETIONS, {"prompt": "a"}, []),
        (COMPLETIONS, {"prompt": ["a"]}, []),
        (COMPLETIONS, {"prompt": [1, 2]}, ["tokens"]),
        (COMPLETIONS, {"prompt": [[1, 2]]}, ["tokens"]),
        (EMBEDDINGS, {"input": ["a", 1]}, ["tokens"]),
        (EMBEDDINGS, {"input": "a"}, []),
        (MODERATIONS, {"input": [{"type": "text", "text": "a"}]}, []),
        (MODERATIONS, {"input": [{"type": "image_url", "image_url": {"url": "https://a"}}]}, ["image"]),
        (IMAGES, {"prompt": "a"}, []),
        (IMAGES, {"prompt": "a", "images": [{"image_url": "https://a"}]}, ["image"]),
        (OTHER, {"input": "a"}, []),
    ],
)
def test_what_no_rule_can_read_is_told(format_, body, wanted):
    assert format_.unscanned(body) == wanted


def test_a_completion_is_cut():
    body = {"choices": [{"text": "a b", "logprobs": {}}, {"text": "c"}]}
    assert COMPLETIONS.cut(body, ("choices", 0, "text"), "a") == {
        ("choices", 0, "text"): b'"a"',
        ("choices", 0, "finish_reason"): b'"content_filter"',
        ("choices", 0, "logprobs"): b"null",
    }
    assert ("choices", 1, "logprobs") not in COMPLETIONS.cut(body, ("choices", 1, "text"), "")
    assert COMPLETIONS.cut(body, ("model",), "m") == {("model",): b'"m"'}
    assert OTHER.cut(body, ("a",), "b") == {("a",): b'"b"'}


def test_a_reply_is_a_whole_completion_to_the_sdk():
    answer = Completion.model_validate_json(COMPLETIONS.reply('no "jokes"', "m", "r1", 17, refuses=True))
    assert (answer.id, answer.choices[0].text, answer.choices[0].finish_reason) == (
        "cmpl-r1",
        'no "jokes"',
        "content_filter",
    )
    raw = COMPLETIONS.reply_stream("no\njokes", "m", "r1", 17)
    stream = EventStream(1 << 20)
    *parts, done = [event.data for event in [*stream.feed(raw), *stream.close()]]
    assert [Completion.construct(**json.loads(part)).choices[0].text for part in parts] == ["no\njokes", ""]
    assert done == b"[DONE]"


# the others


def test_usage_in_every_operations_words():
    assert COMPLETIONS.usage({"usage": {"prompt_tokens": 5, "completion_tokens": 7}}) == Usage(5, 7)
    assert EMBEDDINGS.usage({"usage": {"prompt_tokens": 5, "total_tokens": 5}}) == Usage(5)
    assert IMAGES.usage({"usage": {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}}) == Usage(5, 7)
    assert (
        IMAGES.usage({"usage": [1]}) is IMAGES.usage([]) is MODERATIONS.usage({"usage": {}}) is OTHER.usage({}) is None
    )


def test_pictures_are_no_text_but_words_beside_them_are():
    picture = {
        "b64_json": "QUJD" * 30,
        "revised_prompt": "a cat",
        "url": "https://a.example.com/b.png?sig=a%2Bb%3D&se=1",
    }
    assert [span.text for span in IMAGES.response_spans({"created": 1, "data": [picture]})] == ["a cat"]
    for url in ("https://a.example.com/b c", "call jane@example.com", "https://a.example.com/?q=jane@example.com"):
        assert [span.text for span in IMAGES.response_spans({"data": [{"url": url}]})] == [url]
    ImagesResponse.model_validate({"created": 1, "data": [picture]})


def test_streamed_pictures_keep_their_order():
    part = {
        "type": "image_generation.partial_image",
        "b64_json": "QUJD" * 30,
        "partial_image_index": 0,
        "size": "1024x1024",
    }
    last = {**part, "type": "image_generation.completed", "usage": {"input_tokens": 1, "output_tokens": 2}}
    for event, final in ((part, False), (last, True)):
        delta = IMAGES.delta(event)
        assert (delta.pieces, delta.lane, delta.telling, delta.final) == ([], None, True, final)
    assert IMAGES.usage(last) == Usage(1, 2)


def test_embeddings_are_no_text():
    vectors = {"data": [{"object": "embedding", "index": 0, "embedding": "QUJD" * 30}], "model": "m", "object": "list"}
    assert EMBEDDINGS.response_spans(vectors) == []
    CreateEmbeddingResponse.model_validate(
        {
            **vectors,
            "data": [{**vectors["data"][0], "embedding": [0.5]}],
            "usage": {"prompt_tokens": 1, "total_tokens": 1},
        }
    )


def test_names_of_categories_are_no_text():
    flags = {"harassment": False, "harassment/threatening": False, "sexual/minors": False}
    body = {"id": "m1", "model": "m", "results": [{"flagged": False, "categories": flags}]}
    assert MODERATIONS.response_spans(body) == []
    assert ModerationCreateResponse.model_construct(**body).id == "m1"


@pytest.mark.parametrize("format_", [EMBEDDINGS, MODERATIONS, IMAGES, OTHER], ids=lambda each: each.name)
def test_what_has_no_place_for_words_says_them_as_an_error(format_):
    assert json.loads(format_.reply("no", "m", "r1", 17))["error"]["message"] == "no"
    assert b'"message":"no"' in format_.reply_stream("no", "m", "r1", 17)
    ending = format_.ending()
    ending.see({"type": "x"})
    assert b'"message":"no"' in ending.end("no")
    assert b"filter" in ending.end("")
    assert format_.codec is None
    assert format_.without_padding(b"x") == b"x"
    assert format_.family == "openai"
    assert list(format_.echoes({}, set())) == []
