"""Whole answers, both ways.

Source: OpenAI API reference, "The chat completion object"; vLLM (``stop_reason``); OpenRouter (``images``).
"""

from __future__ import annotations

from typing import Any, Final

from extproc.chat.answer import Answer, Choice, Finish
from extproc.chat.codec import Context
from extproc.chat.losses import CITED, LOGPROBS, Losses
from extproc.chat.parts import Media, Native, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from extproc.errors import DecodeError
from extproc.formats.openai_chat import reasoning
from extproc.formats.openai_chat.checked import items, record, string
from extproc.formats.openai_chat.counts import has_calls, read_finish, read_usage, write_finish, write_usage
from extproc.formats.openai_chat.media import address
from extproc.formats.openai_chat.messages import content, images, signed
from extproc.formats.openai_chat.tools import NAME, made_id, read_call, write_call, write_signature
from extproc.framing.jsontext import Path

_CITES: Final = {"citations": CITED, "search_results": CITED}
"""Members of an answer in which Perplexity and others say what they have read."""
KNOWN: Final = reasoning.READ | {"role", "content", "refusal", "tool_calls", "function_call", "audio", "images", "name"}
"""Members of a message that have a place in the canonical form; others are native parts."""


def decode_answer(body: Any, losses: Losses) -> Answer:
    """See ``Codec.decode_answer``."""
    value = record(body, "the answer")
    if not isinstance(value.get("choices"), list):
        raise DecodeError("the answer has no choices")
    id_, created = string(value.get("id"), "id"), value.get("created")
    lose(value, value["choices"], losses)
    return Answer(
        id_,
        string(value.get("model"), "model"),
        int(created) if isinstance(created, int | float) and 0 < created < 2**53 else 0,
        [_choice(each, at, id_) for at, each in enumerate(value["choices"])],
        read_usage(value),
    )


def lose(answer: dict[str, Any], choices: list[Any], losses: Losses) -> None:
    """Note what an answer or event has that the canonical form has no place for."""
    for at, choice in enumerate(choices):
        if isinstance(choice, dict) and choice.get("logprobs"):
            losses.add(("choices", index_of(choice, at), "logprobs"), LOGPROBS)
    losses.add_members(answer, _CITES, ())


def _choice(value: Any, at: int, answer_id: str) -> Choice:
    choice = record(value, "a choice")
    index = index_of(choice, at)
    message = record(choice.get("message"), "a message")
    where: Path = ("choices", at, "message")
    parts = _parts(message, where, answer_id, index)
    finish = read_finish(choice.get("finish_reason", "stop"), calls=has_calls(parts))
    stopped = stopped_by(choice, finish)
    return Choice(index, parts, Finish.STOP_SEQUENCE if stopped else finish, stopped)


def stopped_by(choice: dict[str, Any], finish: Finish) -> str:
    """The stop sequence, where a server tells it."""
    stopped = choice.get("stop_reason")
    return stopped if isinstance(stopped, str) and finish is Finish.STOP else ""


def index_of(choice: dict[str, Any], at: int) -> int:
    """The number of a choice.

    Raises:
        DecodeError: it is none.
    """
    index = choice.get("index", at)
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < 1024:
        raise DecodeError("an index is not a number")
    return index


def _parts(message: dict[str, Any], where: Path, answer_id: str, index: int) -> list[Part]:
    said = content(message.get("content"), (*where, "content"))
    calls = [
        read_call(call, made_id(answer_id, index, at), (*where, "tool_calls", at))
        for at, call in enumerate(items(message.get("tool_calls"), "tool_calls"))
    ]
    if message.get("function_call") is not None:
        call = {"type": "function", "function": message["function_call"]}
        calls.append(read_call(call, made_id(answer_id, index, len(calls)), (*where, "function_call")))
    parts: list[Part] = [*signed(reasoning.read(message, where), calls), *said]
    if refusal := string(message.get("refusal"), "refusal"):
        parts.append(Refusal(refusal, where=(*where, "refusal")))
    parts += spoken(message, where)
    parts += images(message, where)
    parts += natives(message, where)
    return [*parts, *calls]


def spoken(message: dict[str, Any], where: Path) -> list[Part]:
    """Sound the model made, and what it says."""
    audio = message.get("audio")
    if not isinstance(audio, dict):
        return []
    data, said = string(audio.get("data"), "data"), string(audio.get("transcript"), "transcript")
    found: list[Part] = [Text(said, where=(*where, "audio", "transcript"))] if said else []
    return [*found, Media("audio", data=data, where=(*where, "audio"))] if data else found


def natives(message: dict[str, Any], where: Path) -> list[Part]:
    """What a server says besides: annotations, tools it ran itself."""
    return [
        Native(NAME, {name: value}, (*where, name))
        for name, value in message.items()
        if value and name not in KNOWN and isinstance(value, list | dict)
    ]


def encode_answer(answer: Answer, context: Context, losses: Losses) -> dict[str, Any]:
    """See ``Codec.encode_answer``."""
    body: dict[str, Any] = head(answer.id, answer.model, answer.created, context)
    body["object"] = "chat.completion"
    body["choices"] = [_written(choice, losses) for choice in answer.choices]
    if answer.usage:
        body["usage"] = write_usage(answer.usage)
    return body


def head(id_: str, model: str, created: int, context: Context) -> dict[str, Any]:
    """How an answer, or an event of one, names itself."""
    return {
        "id": id_ or f"chatcmpl-{context.request_id}",
        "object": "chat.completion.chunk",
        "created": created or context.created,
        "model": model or context.model,
    }


def _written(choice: Choice, losses: Losses) -> dict[str, Any]:
    parts = choice.parts
    text = "".join([part.text for part in parts if isinstance(part, Text)])
    refusal = "".join([part.text for part in parts if isinstance(part, Refusal)])
    message: dict[str, Any] = {"role": "assistant", "content": text or None, "refusal": refusal or None}
    message |= reasoning.write([part for part in parts if isinstance(part, Reasoning)])
    calls = [part for part in parts if isinstance(part, ToolCall)]
    if calls:
        message["tool_calls"] = [
            write_call(call, call.id) | write_signature(call.maker, call.signature) for call in calls
        ]
    for part in parts:
        for name, value in aside(part, losses).items():
            message[name] = [*message[name], *value] if isinstance(message.get(name), list) else value
    tell_finish(choice.finish, choice.stopped_by, losses)
    return {
        "index": choice.index,
        "message": message,
        "logprobs": None,
        "finish_reason": write_finish(choice.finish),
    }


def aside(part: Part, losses: Losses) -> dict[str, Any]:
    """Members of a message for a part that is neither words nor a call; nothing, and a loss, where there are none."""
    if isinstance(part, Media) and part.medium == "image" and (part.url or part.data):
        return {"images": [{"type": "image_url", "image_url": {"url": address(part, "image/png")}}]}
    if isinstance(part, Native) and part.format == NAME and isinstance(part.value, dict) and "type" not in part.value:
        return {name: value for name, value in part.value.items() if name not in KNOWN}
    if isinstance(part, Media | Native | ToolResult):
        losses.add(part.where, f"{part.medium} in an answer" if isinstance(part, Media) else "a provider's own part")
    return {}


def tell_finish(finish: Finish | None, stopped: str, losses: Losses) -> None:
    """Note what ``finish_reason`` cannot say."""
    if stopped or finish in (Finish.PAUSE, Finish.OTHER, Finish.REFUSAL):
        losses.add((), "finish reason")
