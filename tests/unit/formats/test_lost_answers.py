"""What an answer says that the canonical form has no place for is told as a loss: of whole answers and of streams."""

import json

import pytest

from extproc.chat.losses import Losses
from extproc.formats.registry import FORMATS

CITATION = {"type": "char_location", "cited_text": "so", "document_index": 0}
TOKENS = {"content": [{"token": "so", "logprob": -1.0}]}
TEXT = {"type": "output_text", "text": "so", "annotations": [{"type": "url_citation"}], "logprobs": [{"token": "so"}]}
CITED = {"citationsContent": {"content": [{"text": "so"}], "citations": [{"title": "t"}]}}
CANDIDATE = {
    "content": {"parts": [{"text": "so"}]},
    "finishReason": "STOP",
    "citationMetadata": {"citationSources": [{}]},
    "groundingMetadata": {"webSearchQueries": ["x"]},
    "logprobsResult": {"chosenCandidates": [{"token": "so"}]},
}
OF_GEMINI = [
    ("candidates[0].citationMetadata", "what a text cites"),
    ("candidates[0].groundingMetadata", "what an answer is grounded in"),
    ("candidates[0].logprobsResult", "log probabilities"),
]
OF_CHAT = [("choices[0].logprobs", "log probabilities"), ("citations", "what a text cites")]
OF_RESPONSES = [
    ("output[0].content[0].annotations", "what a text cites"),
    ("output[0].content[0].logprobs", "log probabilities"),
]

WHOLE = {
    "anthropic-messages": (
        {"type": "message", "content": [{"type": "text", "text": "so", "citations": [CITATION]}]},
        [("content[0].citations", "what a text cites")],
    ),
    "openai-chat": (
        {"choices": [{"message": {"content": "so"}, "logprobs": TOKENS}], "citations": ["https://a.b"]},
        OF_CHAT,
    ),
    "openai-responses": ({"output": [{"type": "message", "content": [TEXT]}]}, OF_RESPONSES),
    "gemini": ({"candidates": [CANDIDATE]}, OF_GEMINI),
    "bedrock-converse": (
        {"output": {"message": {"content": [CITED]}}, "stopReason": "end_turn", "trace": {"guardrail": {}}},
        [
            ("output.message.content[0].citationsContent.citations", "what a text cites"),
            ("trace", "what a guardrail says"),
        ],
    ),
}


def bit(**delta):
    return {"type": "content_block_delta", "index": 0, "delta": delta}


def block(**delta):
    return {"contentBlockDelta": {"contentBlockIndex": 0, "delta": delta}}


STREAMS = {
    "anthropic-messages": [
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        bit(type="text_delta", text="so"),
        bit(type="citations_delta", citation=CITATION),
        bit(type="citations_delta", citation=CITATION),
    ],
    "openai-chat": [
        {"choices": [{"index": 0, "delta": {"content": "so"}, "logprobs": TOKENS}], "citations": ["https://a.b"]},
        {"choices": [{"index": 0, "delta": {"content": "so"}, "logprobs": TOKENS}], "citations": ["https://a.b"]},
    ],
    "openai-responses": [
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "so"},
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": {"type": "message", "content": [TEXT]},
        },
    ],
    "gemini": [{"candidates": [CANDIDATE]}],
    "bedrock-converse": [
        block(text="so"),
        block(citation={"title": "t"}),
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": {"usage": {}, "trace": {"guardrail": {"x": 1}}}},
    ],
}
TOLD = {name: losses for name, (_, losses) in WHOLE.items()} | {
    "bedrock-converse": [
        ("output.message.content[0].citation", "what a text cites"),
        ("trace", "what a guardrail says"),
    ]
}


@pytest.mark.parametrize("name", WHOLE)
def test_of_a_whole_answer(name):
    body, expected = WHOLE[name]
    losses = Losses()
    answer = FORMATS[name].codec.decode_answer(body, losses)
    assert losses.found == expected
    assert answer == FORMATS[name].codec.decode_answer(body)


@pytest.mark.parametrize("name", STREAMS)
def test_of_a_stream_once_for_each_kind(name):
    losses = Losses()
    decoder = FORMATS[name].codec.decoder(losses)
    for event in STREAMS[name]:
        kind = event["type"] if "type" in event else next(iter(event))
        decoder.decode(kind, json.dumps(event).encode())
    assert losses.found == TOLD[name]


@pytest.mark.parametrize("name", WHOLE)
def test_what_says_nothing_is_not_lost(name):
    body, _ = WHOLE[name]
    empty = json.loads(json.dumps(body), object_hook=_plain)
    losses = Losses()
    FORMATS[name].codec.decode_answer(empty, losses)
    assert losses.found == []


def _plain(value):
    lost = ("citations", "annotations", "logprobs", "citationMetadata", "groundingMetadata", "logprobsResult", "trace")
    return {key: None if key in lost else child for key, child in value.items()}


def test_what_claude_says_on_bedrock_is_the_same():
    losses = Losses()
    decoder = FORMATS["bedrock-invoke-anthropic"].codec.decoder(losses)
    for event in STREAMS["anthropic-messages"]:
        decoder.decode("chunk", json.dumps(event).encode())
    assert losses.found == TOLD["anthropic-messages"]
