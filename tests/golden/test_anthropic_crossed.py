"""Between Anthropic messages and OpenAI chat completions, with everything recorded of both."""

import copy
import json

import pytest
from anthropic.types import ContentBlockParam, ToolChoiceParam, ToolUnionParam
from pydantic import TypeAdapter

from extproc.chat.answer import Failure, PartDelta, PartStart, Used
from extproc.chat.codec import Context
from extproc.chat.fold import fold, unfold
from extproc.chat.losses import Losses
from extproc.chat.parts import Native, Text, ToolCall
from extproc.errors import Unrepresentable
from extproc.formats.registry import FORMATS
from extproc.framing.jsontext import dump
from extproc.framing.sse import EventStream
from tests.golden.anthropic_wire import answers, requests, streams
from tests.support import data

pytestmark = pytest.mark.data

ANTHROPIC, OPENAI = FORMATS["anthropic-messages"].codec, FORMATS["openai-chat"].codec
CONTEXT = Context("r1", "asked", 17, usage=True)
BLOCK, TOOL, CHOICE = TypeAdapter(ContentBlockParam), TypeAdapter(ToolUnionParam), TypeAdapter(ToolChoiceParam)


def chats():
    """(name, request body, answer body or None) of every recorded chat completion."""
    for path in sorted(data("wire/openai_chat").glob("*.json")):
        for number, each in enumerate(json.loads(path.read_text("utf-8"))["exchanges"]):
            said = each["response"]["body"]
            whole = each["response"]["status"] == 200 and said.lstrip().startswith("{")
            yield f"{path.stem}#{number}", json.loads(each["request"]["body"]), json.loads(said) if whole else None


def as_anthropic_takes_it(body):
    """Check a request against the rules of the API's reference and the SDK's types."""
    turns = body["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * (len(turns) // 2) + ["user"] * (len(turns) % 2)
    for turn in turns:
        for block in turn["content"]:
            BLOCK.validate_python(block)
            assert block["type"] != "text" or block["text"].strip()
        kinds = [block["type"] == "tool_result" for block in turn["content"]]
        assert kinds == sorted(kinds, reverse=True)
    for tool in body.get("tools", []):
        TOOL.validate_python(tool)
    if "tool_choice" in body:
        CHOICE.validate_python(body["tool_choice"])
        assert body["tools"]
    assert body["max_tokens"] > body.get("thinking", {}).get("budget_tokens", 0)


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-opus-4-6", "claude-sonnet-5"])
def test_recorded_chats_are_requests_anthropic_takes(model):
    taken = refused = 0
    for name, body, _ in chats():
        try:
            request = OPENAI.decode_request(copy.deepcopy(body), Losses())
            request.model = model
            as_anthropic_takes_it(ANTHROPIC.encode_request(request, Losses()))
            taken += 1
        except Unrepresentable:
            refused += 1
        except AssertionError as error:
            raise AssertionError(name) from error
    assert taken > 20
    assert refused < taken / 4


def test_recorded_chat_answers_are_messages():
    count = 0
    for name, _, body in chats():
        if body is None:
            continue
        answer = OPENAI.decode_answer(body)
        again = ANTHROPIC.decode_answer(ANTHROPIC.encode_answer(answer, CONTEXT, Losses()))
        assert spoken(again) == spoken(answer), name
        count += 1
    assert count > 15


def spoken(answer):
    """What a client shows and does: texts and calls of the first choice."""
    parts = answer.choices[0].parts if answer.choices else []
    texts = "".join(part.text for part in parts if not isinstance(part, ToolCall | Native) and hasattr(part, "text"))
    return texts, [(part.name, json.loads(part.arguments or "{}")) for part in parts if isinstance(part, ToolCall)]


def test_recorded_messages_are_chat_answers():
    count = 0
    for name, body in answers():
        answer = ANTHROPIC.decode_answer(copy.deepcopy(body))
        losses = Losses()
        again = OPENAI.decode_answer(OPENAI.encode_answer(answer, CONTEXT, losses))
        natives = sum(isinstance(part, Native) for part in answer.choices[0].parts)
        assert shown(again) == shown(answer), name
        assert not natives or losses.count
        assert (again.usage.input, again.usage.output) == (answer.usage.input, answer.usage.output)
        count += 1
    assert count > 30


def shown(answer):
    """Texts and calls, without thoughts."""
    parts = answer.choices[0].parts
    texts = "".join(part.text for part in parts if isinstance(part, Text))
    return texts, [(part.name, json.loads(part.arguments)) for part in parts if isinstance(part, ToolCall)]


def test_recorded_requests_are_ones_openai_takes():
    taken = 0
    for _, body in requests():
        try:
            again = OPENAI.encode_request(ANTHROPIC.decode_request(copy.deepcopy(body), Losses()), Losses())
        except Unrepresentable:
            continue
        assert again["messages"]
        taken += 1
    assert taken > 15


def test_recorded_streams_are_chat_streams():
    for name, events in streams():
        decoder, encoder = ANTHROPIC.decoder(), OPENAI.encoder(CONTEXT, Losses())
        found = [out for event in events for out in decoder.decode("", event)] + decoder.close()
        raw = b"".join([encoder.encode(event) for event in found] + [encoder.close()])
        reader, back = EventStream(1 << 20), OPENAI.decoder()
        read = [event.data for event in [*reader.feed(raw), *reader.close()] if event.data != b"[DONE]"]
        again = fold([out for data_ in read for out in back.decode("", data_)] + back.close())
        assert not isinstance(again, Failure)
        assert shown(again) == shown(fold(found)), name


def test_recorded_chat_answers_are_streams_of_messages():
    for name, _, body in chats():
        if body is None:
            continue
        answer = OPENAI.decode_answer(body)
        encoder, decoder = ANTHROPIC.encoder(CONTEXT, Losses()), ANTHROPIC.decoder()
        raw = b"".join([encoder.encode(event) for event in unfold(answer)] + [encoder.close()])
        reader = EventStream(1 << 22)
        events = [event.data for event in [*reader.feed(raw), *reader.close()]]
        found = [out for event in events for out in decoder.decode("", event)] + decoder.close()
        assert spoken(fold(found)) == spoken(answer), name
        assert any(isinstance(event, PartStart | PartDelta | Used) for event in found)
        assert dump(ANTHROPIC.encode_answer(fold(found), CONTEXT, Losses()))
