"""Whole answers and errors, read into the canonical form and written from it.

Source: Amazon Bedrock API reference, ``Converse`` (response syntax) and "Common Errors".
"""

from __future__ import annotations

from typing import Any

from extproc.chat.answer import Answer, Choice, Failure, Finish
from extproc.chat.codec import Context
from extproc.chat.losses import WATCHED, Losses
from extproc.chat.parts import Media, Native, Part, Reasoning, Refusal, Text, ToolCall
from extproc.errors import DecodeError, Unrepresentable
from extproc.formats.bedrock import write
from extproc.formats.bedrock.blocks import read_content
from extproc.formats.bedrock.words import (
    MAKER,
    NAME,
    call_id,
    failure_kind,
    finish,
    read_usage,
    stop_reason,
    write_usage,
)
from extproc.formats.members import arguments, member, needed

CUSTOM = "input"
"""The member that holds the text a tool takes, where it has to be an object."""


def decode(body: Any, losses: Losses) -> Answer:
    """See ``Codec.decode_answer``. What a text cites is lost: the canonical form has no place for it."""
    if not isinstance(body, dict):
        raise DecodeError("the answer is no object")
    message = needed(needed(body, "output", dict), "message", dict)
    parts = read_content(member(message, "content", list, []), ("output", "message", "content"), losses)
    losses.add_members(body, {"trace": WATCHED}, ())
    reason = finish(body.get("stopReason")) if body.get("stopReason") is not None else None
    usage = member(body, "usage", dict)
    return Answer(
        choices=[Choice(0, parts, reason, stopped_by(body))],
        usage=None if usage is None else read_usage(usage),
    )


def stopped_by(holder: dict[str, Any]) -> str:
    """The stop sequence that Claude ended at, which it tells where it was asked to (``/stop_sequence``)."""
    fields = holder.get("additionalModelResponseFields")
    for each in (fields, fields.get("delta") if isinstance(fields, dict) else None):
        told = each.get("stop_sequence") if isinstance(each, dict) else None
        if isinstance(told, str):
            return told
    return ""


def stopped(finish_: Finish | None, sequence: str, losses: Losses) -> dict[str, Any]:
    """The members that tell why an answer ended."""
    reason = finish_ or Finish.STOP
    if reason in (Finish.REFUSAL, Finish.PAUSE, Finish.OTHER):
        losses.add(("finish",), "no such reason")
    told: dict[str, Any] = {"stopReason": stop_reason(reason)}
    if sequence:
        told["additionalModelResponseFields"] = {"stop_sequence": sequence}
    return told


def encode(answer: Answer, context: Context, losses: Losses) -> dict[str, Any]:
    """See ``Codec.encode_answer``. There is one choice in an answer; others are lost."""
    for choice in answer.choices[1:]:
        losses.add(("choices", choice.index), "one answer is all there can be")
    choice = answer.choices[0] if answer.choices else Choice()
    made = [block(part, made_id(context, number), losses) for number, part in enumerate(choice.parts)]
    return {
        "output": {"message": {"role": "assistant", "content": [each for each in made if each]}},
        **stopped(choice.finish, choice.stopped_by, losses),
        "usage": write_usage(answer.usage),
        "metrics": {"latencyMs": 0},
    }


def made_id(context: Context, number: int) -> str:
    """An id for a call that has none."""
    return f"tooluse_{context.request_id}_{number}"


def block(part: Part, id_: str, losses: Losses) -> dict[str, Any] | None:
    """A part of an answer; None where it cannot be said. ``id_`` is for a call that has none."""
    if isinstance(part, Text | Refusal):
        return {"text": part.text} if part.text else None
    if isinstance(part, Reasoning):
        return _thoughts(part, losses)
    if isinstance(part, ToolCall):
        given = None if part.custom else arguments(part.arguments)
        if given is None:
            losses.add(part.where, "arguments that are no JSON object")
            given = {CUSTOM: part.arguments}
        if part.signature:
            losses.add(part.where, "a call's signature")
        return {"toolUse": {"toolUseId": call_id(part.id or id_), "name": part.name, "input": given}}
    if isinstance(part, Native) and part.format == NAME and isinstance(part.value, dict):
        return part.value
    if isinstance(part, Media) and part.medium == "image":
        try:
            return write.media(part, set(), losses)
        except Unrepresentable:
            pass
    losses.add(part.where, "a part that an answer does not have")
    return None


def _thoughts(part: Reasoning, losses: Losses) -> dict[str, Any] | None:
    own = part.maker == MAKER
    if (part.signature or part.sealed) and not own:
        losses.add(part.where, "another provider's signature")
    if part.text or (own and part.signature):
        told = {"text": part.text} | ({"signature": part.signature} if own and part.signature else {})
        if own and part.sealed:
            losses.add(part.where, "reasoning that is sealed")
        return {"reasoningContent": {"reasoningText": told}}
    return {"reasoningContent": {"redactedContent": part.sealed}} if own and part.sealed else None


def decode_error(status: int, body: Any, name: str = "") -> Failure:
    """See ``Codec.decode_error``. ``name`` is an exception's in a stream; an answer's is in its headers, or its body."""
    holder = body if isinstance(body, dict) else {}
    for told in ("__type", "code"):
        if not name and isinstance(holder.get(told), str):
            name = holder[told].rpartition("#")[2].partition(":")[0]
    kind, usual = failure_kind(name, status)
    message = next((holder[each] for each in ("message", "Message") if isinstance(holder.get(each), str)), "")
    return Failure(kind, message or "The provider answered with an error.", name, status or usual)


def encode_error(failure: Failure) -> dict[str, Any]:
    """See ``Codec.encode_error``."""
    return {"message": failure.message}
