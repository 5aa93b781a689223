"""Whole answers and errors, read into the canonical form and written from it.

Source: Claude API reference, "Messages" and "Errors".
"""

from __future__ import annotations

from typing import Any

from extproc.chat.answer import Answer, Choice, Failure, Finish
from extproc.chat.codec import Context
from extproc.chat.losses import Losses
from extproc.chat.parts import Native, Part, Reasoning, Refusal, Text, ToolCall
from extproc.errors import DecodeError
from extproc.formats.anthropic.blocks import read_content
from extproc.formats.anthropic.says import message
from extproc.formats.anthropic.words import (
    MAKER,
    NAME,
    finish,
    kind_of_type,
    read_usage,
    stop_reason,
    type_of_kind,
    write_usage,
)
from extproc.formats.members import arguments, member, needed


def decode(body: Any, losses: Losses) -> Answer:
    """See ``Codec.decode_answer``. What a text cites is lost: the canonical form has no place for it."""
    if not isinstance(body, dict) or body.get("type") == "error":
        raise DecodeError("the answer is no message")
    parts = read_content(needed(body, "content", list), ("content",), losses)
    choice = Choice(0, parts, finish(body.get("stop_reason")), member(body, "stop_sequence", str, ""))
    usage = member(body, "usage", dict)
    return Answer(
        id=member(body, "id", str, ""),
        model=member(body, "model", str, ""),
        choices=[choice],
        usage=None if usage is None else read_usage(usage),
    )


def encode(answer: Answer, context: Context, losses: Losses) -> dict[str, Any]:
    """See ``Codec.encode_answer``. There is one choice in a message; others are lost."""
    for choice in answer.choices[1:]:
        losses.add(("choices", choice.index), "one answer is all there can be")
    choice = answer.choices[0] if answer.choices else Choice()
    made = [_block(part, f"toolu_{context.request_id}_{number}", losses) for number, part in enumerate(choice.parts)]
    said = message(
        answer.id or f"msg_{context.request_id}",
        answer.model or context.model,
        [block for block in made if block],
        stop_reason(choice.finish or Finish.STOP),
        write_usage(answer.usage),
    )
    said["stop_sequence"] = choice.stopped_by or None
    return said


def _block(part: Part, call_id: str, losses: Losses) -> dict[str, Any] | None:
    if isinstance(part, Text | Refusal):
        return {"type": "text", "text": part.text} if part.text else None
    if isinstance(part, Reasoning):
        return _thoughts(part, losses)
    if isinstance(part, ToolCall):
        given = None if part.custom else arguments(part.arguments)
        if given is None:
            losses.add(part.where, "arguments that are no JSON object")
            given = {"input": part.arguments}
        if part.signature:
            losses.add(part.where, "a call's signature")
        return {"type": "tool_use", "id": part.id or call_id, "name": part.name, "input": given}
    if isinstance(part, Native) and part.format == NAME and isinstance(part.value, dict):
        return part.value
    losses.add(part.where, "a part that messages do not have")
    return None


def _thoughts(part: Reasoning, losses: Losses) -> dict[str, Any] | None:
    """Thoughts to be shown; only Claude's own signatures and seals are of use to its clients."""
    own = part.maker == MAKER
    if (part.signature or part.sealed) and not own:
        losses.add(part.where, "another provider's signature")
    if part.text or (own and part.signature):
        if own and part.sealed:
            losses.add(part.where, "reasoning that is sealed")
        return {"type": "thinking", "thinking": part.text, "signature": part.signature if own else ""}
    return {"type": "redacted_thinking", "data": part.sealed} if own and part.sealed else None


def decode_error(status: int, body: Any) -> Failure:
    """See ``Codec.decode_error``. Hosts of Claude's models have errors of their own, with the message at the top."""
    error = body.get("error") if isinstance(body, dict) else None
    holder = error if isinstance(error, dict) else body if isinstance(body, dict) else {}
    code = holder.get("type")
    message = holder.get("message") or (error if isinstance(error, str) else None)
    kind, usual = kind_of_type(code, status)
    return Failure(
        kind,
        message if isinstance(message, str) and message else "The provider answered with an error.",
        code if isinstance(code, str) else "",
        status or usual,
    )


def encode_error(failure: Failure) -> dict[str, Any]:
    """See ``Codec.encode_error``."""
    return {"type": "error", "error": {"type": type_of_kind(failure.kind), "message": failure.message}}
