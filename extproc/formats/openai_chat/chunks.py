"""Writes events of the canonical form as a stream of chunks.

Source: OpenAI API reference, "The chat completion chunk object"; ``include_usage`` adds a chunk without choices at the end.
"""

from __future__ import annotations

from typing import Any

from extproc.chat.answer import Failure, Finished, PartDelta, PartEnd, PartStart, Start, StreamEvent, Usage, Used
from extproc.chat.codec import Context
from extproc.chat.losses import Losses
from extproc.chat.parts import Part, Reasoning, Refusal, Text, ToolCall
from extproc.formats.openai_chat import reasoning
from extproc.formats.openai_chat.answers import aside, head, tell_finish
from extproc.formats.openai_chat.counts import write_error, write_finish, write_usage
from extproc.formats.openai_chat.tools import write_call, write_signature
from extproc.framing.jsontext import dump


class Encoder:
    """See ``chat.codec.StreamEncoder``."""

    def __init__(self, context: Context, losses: Losses) -> None:
        self._context = context
        self._losses = losses
        self._head = head("", "", 0, context)
        self._usage: Usage | None = None
        self._failed = False
        self._spoken: set[int] = set()  # choices that have begun
        self._parts: dict[tuple[int, int], tuple[Part, int]] = {}  # open ones, each with its number among its kind
        self._silent: set[tuple[int, int]] = set()  # calls without arguments so far
        self._counts: dict[tuple[int, type], int] = {}

    def encode(self, event: StreamEvent) -> bytes:
        """See ``StreamEncoder``."""
        if self._failed:
            return b""
        if isinstance(event, Start):
            self._head = head(event.id, event.model, event.created, self._context)
        elif isinstance(event, Used):
            self._usage = event.usage
        elif isinstance(event, Failure):
            self._failed = True
            return _framed(write_error(event)) + b"data: [DONE]\n\n"
        elif isinstance(event, Finished):
            tell_finish(event.finish, event.stopped_by, self._losses)
            return self._chunk(event.choice, {}, write_finish(event.finish))
        else:
            return self._part(event)
        return b""

    def close(self) -> bytes:
        """See ``StreamEncoder``."""
        if self._failed:
            return b""
        self._failed = True
        used = b""
        if self._context.usage and self._usage:
            used = _framed({**self._head, "choices": [], "usage": write_usage(self._usage)})
        return used + b"data: [DONE]\n\n"

    def _part(self, event: PartStart | PartDelta | PartEnd) -> bytes:
        place = event.choice, event.number
        if isinstance(event, PartStart):
            return self._began(place, event.part)
        if place not in self._parts:
            return b""
        part, number = self._parts[place]
        if isinstance(event, PartDelta):
            return self._grown(place, part, number, event)
        del self._parts[place]
        if place in self._silent:  # clients parse what they put together: nothing is no JSON
            self._silent.remove(place)
            return self._chunk(place[0], {"tool_calls": [{"index": number, "function": {"arguments": "{}"}}]})
        return b""

    def _began(self, place: tuple[int, int], part: Part) -> bytes:
        kind = type(part)
        number = self._counts.get((place[0], kind), 0)
        self._counts[place[0], kind] = number + 1
        self._parts[place] = part, number
        if isinstance(part, ToolCall):
            told: dict[str, Any] = write_call(part, part.id) | write_signature(part.maker, part.signature)
            if not part.custom:
                told["function"]["arguments"] = part.arguments
                if not part.arguments:
                    self._silent.add(place)
            return self._chunk(place[0], {"tool_calls": [{"index": number, **told}]})
        if isinstance(part, Text | Refusal | Reasoning):
            signed = (part.signature, part.sealed) if isinstance(part, Reasoning) else ("", "")
            delta = PartDelta(*place, part.text, *signed)
            return self._grown(place, part, number, delta) if part.text or any(signed) else b""
        delta_ = aside(part, self._losses)
        return self._chunk(place[0], delta_) if delta_ else b""

    def _grown(self, place: tuple[int, int], part: Part, number: int, delta: PartDelta) -> bytes:
        if isinstance(part, Text):
            return self._chunk(place[0], {"content": delta.text})
        if isinstance(part, Refusal):
            return self._chunk(place[0], {"refusal": delta.text})
        if isinstance(part, Reasoning):
            told: dict[str, Any] = {"reasoning_content": delta.text} if delta.text else {}
            if not reasoning.is_plain(part) or delta.signature or delta.sealed:
                told["reasoning_details"] = reasoning.entries(part, number, delta)
            return self._chunk(place[0], told)
        if isinstance(part, ToolCall):
            return self._argued(place, part, number, delta)
        return b""

    def _argued(self, place: tuple[int, int], part: ToolCall, number: int, delta: PartDelta) -> bytes:
        told: dict[str, Any] = {"index": number}
        if delta.text:
            told |= {"custom": {"input": delta.text}} if part.custom else {"function": {"arguments": delta.text}}
            self._silent.discard(place)
        signed = write_signature(part.maker or "gemini", delta.signature)
        return self._chunk(place[0], {"tool_calls": [told | signed]}) if delta.text or signed else b""

    def _chunk(self, choice: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
        if choice not in self._spoken:
            self._spoken.add(choice)
            delta = {"role": "assistant", **delta}
        told = {"index": choice, "delta": delta, "logprobs": None, "finish_reason": finish}
        usage = {"usage": None} if self._context.usage else {}
        return _framed({**self._head, "choices": [told], **usage})


def _framed(value: dict[str, Any]) -> bytes:
    return b"data: " + dump(value) + b"\n\n"
