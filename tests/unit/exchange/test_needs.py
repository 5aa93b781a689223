"""What a request needs of a model, in every format's words; and where it goes, or that it cannot go anywhere."""

import pytest

from extproc.errors import Refused
from extproc.exchange.needs import hinted, needs
from extproc.exchange.planning import Wanted, choose
from extproc.formats.registry import FORMATS
from extproc.framing.jsontext import dump
from tests.unit.exchange.support import compiled

PNG = "iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {}}


def chat(*parts, **more):
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}, *parts]}], **more}


PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
PDF = {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}


@pytest.mark.parametrize(
    ("format_", "body", "found"),
    [
        ("openai-chat", chat(), set()),
        ("openai-chat", chat(PICTURE), {"image"}),
        ("openai-chat", chat(PDF, SOUND), {"file", "audio"}),
        ("openai-chat", chat(tools=[TOOL]), {"tools"}),
        ("openai-chat", chat(tools=[]), set()),
        ("openai-chat", chat(reasoning_effort="low"), {"reasoning"}),
        ("openai-chat", chat(reasoning_effort="none"), set()),
        ("openai-chat", chat(modalities=["text", "audio"], audio={"voice": "a", "format": "wav"}), {"audio"}),
        (
            "openai-responses",
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "https://a/b.png"}]}],
             "reasoning": {"effort": "high"}},
            {"image", "reasoning"},
        ),
        (
            "anthropic-messages",
            {"max_tokens": 9, "messages": [{"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t", "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}]}]}],
             "tools": [{"name": "f", "input_schema": SCHEMA}], "thinking": {"type": "enabled", "budget_tokens": 1024}},
            {"image", "tools", "reasoning"},
        ),
        (
            "anthropic-messages",
            {"max_tokens": 9, "messages": [{"role": "user", "content": [
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}}]}],
             "thinking": {"type": "disabled"}},
            set(),
        ),
        (
            "gemini",
            {"contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": "video/mp4", "data": PNG}}]}],
             "generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}},
            {"video"},
        ),
        (
            "bedrock-converse",
            {"messages": [{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": PNG}}}]}]},
            {"image"},
        ),
        ("bedrock-invoke", {"messages": [{"role": "user", "content": [{"image": {"source": {"bytes": PNG}}}]}]}, {"image"}),
        ("gemini", {"contents": [{"parts": [{"text": "a"}]}], "generationConfig": {"responseModalities": ["AUDIO"]}},
         {"audio"}),
        ("bedrock-invoke", {"messages": [], "tools": [TOOL]}, {"tools"}),
        # what cannot be converted is looked at by its names
        ("openai-responses", {"previous_response_id": "r", "input": [{"role": "user", "content": [
            {"type": "input_image", "image_url": "https://a/b"}]}]}, {"image"}),
    ],
)  # fmt: skip
def test_what_is_needed(format_, body, found):
    assert needs(FORMATS[format_], "m", body) == found
    assert found <= hinted(dump(body))


CONFIG = """
attach: []
providers:
  openai:   {keys: none}
  deepseek: {keys: none}
  house:    {type: openai-compatible, base_url: "http://127.0.0.1:3/v1", keys: none}
  azure:    {type: azure, resource: r, keys: none}
models:
  blind:   [deepseek/deepseek-chat, openai/gpt-3.5-turbo]
  mixed:   [openai/gpt-3.5-turbo, openai/gpt-4o, openai/o3-mini]
  only:    openai/gpt-3.5-turbo
  "gpt-*": openai
  own:     [{use: house/small, abilities: {image: false, tools: false}}, house/large]
  new:     [{use: openai/gpt-3.5-turbo, abilities: {image: true}}]
  named:   [azure/gpt-3.5-turbo, house/gpt-3.5-turbo]
  globs*:  [{use: house, abilities: {image: false}}, azure]
"""


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    return compiled(CONFIG, tmp_path_factory.mktemp("needs"))


def chosen(runtime, model, body, operation="chat", format_="openai-chat"):
    group = runtime.group(model)
    plans = choose(group, Wanted(operation, format_, model, stream=False), dump(body), body)
    name = group.subset(each.backend for each in plans)
    found = [each.backend.name for each in plans]
    assert [each.name for each in group.backends if name in group.subsets(each)] == found  # who may be tried, can
    return found


@pytest.mark.parametrize(
    ("model", "body", "found"),
    [
        ("mixed", chat(), ["openai/gpt-3.5-turbo", "openai/gpt-4o", "openai/o3-mini"]),
        ("mixed", chat(PICTURE), ["openai/gpt-4o"]),
        ("mixed", chat(tools=[TOOL]), ["openai/gpt-3.5-turbo", "openai/gpt-4o", "openai/o3-mini"]),
        ("mixed", chat(reasoning_effort="high"), ["openai/o3-mini"]),
        ("mixed", chat(PICTURE, reasoning_effort="high"), ["openai/gpt-4o"]),  # thoughts are a wish, pictures are not
        ("blind", chat(reasoning_effort="high"), ["deepseek/deepseek-chat"]),
        ("only", chat(reasoning_effort="high"), ["openai/gpt-3.5-turbo"]),
        ("gpt-4o", chat(PICTURE), ["openai"]),
        ("own", chat(PICTURE), ["house/large"]),
        ("own", chat(tools=[TOOL]), ["house/large"]),
        ("own", chat(), ["house/small", "house/large"]),
        ("new", chat(PICTURE), ["openai/gpt-3.5-turbo"]),
        ("named", chat(PICTURE), ["azure/gpt-3.5-turbo", "house/gpt-3.5-turbo"]),
        ("globs-x", chat(PICTURE), ["azure"]),
    ],
)
def test_it_goes_to_those_that_can(runtime, model, body, found):
    assert chosen(runtime, model, body) == found


@pytest.mark.parametrize(
    ("model", "body", "names"),
    [
        ("blind", chat(PICTURE), "image"),
        ("only", chat(PICTURE, SOUND), "audio, image"),
        ("gpt-3.5-turbo-0125", chat(PICTURE), "image"),
        ("gpt-4o", chat(SOUND), "audio"),
    ],
)
def test_where_none_can_it_is_told_before_anything_is_sent(runtime, model, body, names):
    with pytest.raises(Refused, match=f"needs: {names}\\.") as caught:
        chosen(runtime, model, body)
    assert (caught.value.status, caught.value.code) == (422, "unable")


def test_words_alone_hint_at_nothing():
    assert hinted(dump(chat(temperature=1, max_tokens=5))) == frozenset()


def test_other_operations_need_nothing(runtime):
    body = {"input": "a", "tools": [TOOL]}
    assert chosen(runtime, "only", body, "embeddings", "openai-embeddings") == ["openai/gpt-3.5-turbo"]


def test_too_much_to_look_at_is_refused(runtime):
    body = {"previous_response_id": "r", "input": [["image", {}] * 150_000]}
    with pytest.raises(Refused) as caught:
        choose(runtime.group("only"), Wanted("chat", "openai-responses", "only", stream=False), dump(body), body)
    assert caught.value.status in (400, 413)
