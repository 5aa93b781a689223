"""Recorded requests of every provider: rules that refuse nothing refuse none, and what is looked for is found."""

import re

import orjson
import pytest

from extproc.errors import DecodeError
from extproc.framing.jsontext import parse
from extproc.policy.api import Outcome
from extproc.policy.fields import members
from extproc.policy.parts import media, tools
from tests.support import data
from tests.unit.policy.kinds.support import ask

pytestmark = pytest.mark.data

FORMATS = {
    "openai_chat": "openai-chat",
    "openai_responses": "openai-responses",
    "openai_other": "openai-embeddings",
    "anthropic": "anthropic-messages",
    "gemini": "gemini",
    "bedrock": "bedrock-converse",
    "other": "openai-chat",
}
LENIENT = [
    {"kind": "caps", "max_choices": 9, "max_tools": 99, "max_images": 99, "max_messages": 999, "max_prompt_chars": 10**7,
     "max_output_tokens": {"max": 10**6}},
    {"kind": "models", "allow": "*"},
    {"kind": "tools", "allow": "*", "types": "*"},
    {"kind": "vision", "allow": ["image", "file", "audio", "video"]},
    {"kind": "identity", "banned": "nobody at all"},
    {"kind": "language", "allow": ["Latin", "Han", "Hiragana", "Katakana"]},
    {"kind": "reflection"},
]  # fmt: skip
_MEDIA = re.compile(
    rb'image_url|inline_?data|file_?data|data:image|"document"|"bytes"|s3Location|file_id|input_audio', re.IGNORECASE
)
_TOOLS = re.compile(rb'"(?:tools|functions|toolConfig)": ?[\[{] ?[^\]} ]')


def recorded(family):
    for path in sorted(data("wire").joinpath(family).glob("*.json")):
        for exchange in orjson.loads(path.read_bytes())["exchanges"]:
            raw = exchange["request"]["body"].encode() if exchange["request"].get("body_encoding") == "utf8" else b""
            try:
                body = parse(raw)
            except DecodeError:
                continue
            if isinstance(body, dict):
                yield path.name, body, raw


@pytest.mark.parametrize("family", FORMATS)
def test_what_refuses_nothing_refuses_no_request(family):
    count = 0
    for name, body, _ in recorded(family):
        count += 1
        for config in LENIENT:
            decision, labels = ask(config, body, format=FORMATS[family])
            assert decision.outcome in (Outcome.ALLOW, Outcome.REDACT), (name, config["kind"], labels)
            assert decision.outcome is Outcome.ALLOW or config["kind"] == "caps", (name, labels)
    assert count


@pytest.mark.parametrize("family", FORMATS)
def test_media_and_tools_are_found(family):
    for name, body, raw in recorded(family):
        assert any(media(body)) or not _MEDIA.search(raw), name
        assert any(tools(members(body))) or not _TOOLS.search(raw), name
