"""A request in the canonical form, into a body for a provider of this format.

Source: OpenAI API reference, "Create chat completion" (ranges, lengths of ids, four stop sequences).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from extproc.chat.losses import Losses
from extproc.chat.parts import Media, Message, Native, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from extproc.chat.request import EFFORT_TOKENS, OutputShape, Request, Settings, Thinking
from extproc.errors import Unrepresentable
from extproc.formats.openai_chat import media, reasoning
from extproc.formats.openai_chat.tools import (
    NAME,
    fitted,
    write_cache,
    write_call,
    write_choice,
    write_signature,
    write_tool,
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """What tells servers of this format apart.

    Args:
        extensions: it takes what OpenRouter, LiteLLM and vLLM add: reasoning of earlier answers with its signatures, cache
            marks, films, ``top_k`` and ``min_p``, budgets of thinking. OpenAI itself refuses fields it does not know.
        short_ids: ids of calls are nine letters and digits (Mistral).
        output: the field that limits the answer; older servers know ``max_tokens`` only.
    """

    extensions: bool = False
    short_ids: bool = False
    output: str = "max_completion_tokens"


_RANGES: Final = {
    "temperature": ("temperature", 0, 2),
    "top_p": ("top_p", 0, 1),
    "frequency_penalty": ("frequency_penalty", -2, 2),
    "presence_penalty": ("presence_penalty", -2, 2),
}
"""Setting, field and range."""
_PLAIN: Final = {"seed": "seed", "choices": "n", "verbosity": "verbosity", "logit_bias": "logit_bias"}
_EXTENSIONS: Final = {"top_k": "top_k", "min_p": "min_p"}
_TIERS: Final = frozenset({"auto", "default", "flex", "scale", "priority"})
_EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh")
_STOPS: Final = 4


def encode_request(request: Request, dialect: Dialect, losses: Losses) -> dict[str, Any]:
    """See ``Codec.encode_request``."""
    body: dict[str, Any] = {"model": request.model, "messages": []}
    for message in request.messages:
        body["messages"] += _Writer(message, dialect, losses).write()
    _tools(request, dialect, losses, body)
    if request.output:
        body["response_format"] = _shape(request.output)
    _settings(request, dialect, losses, body)
    if request.thinking:
        _thinking(request.thinking, request, dialect, losses, body)
    if request.user:
        body["user"] = request.user
    if request.metadata:  # it is refused where answers are not stored, and nothing says that they shall be
        losses.add(request.where.get("metadata", ()), "not supported")
    if request.stream:
        body["stream"] = True
        if request.usage:
            body["stream_options"] = {"include_usage": True}
    return body


def _tools(request: Request, dialect: Dialect, losses: Losses, body: dict[str, Any]) -> None:
    told = [write_tool(tool, extensions=dialect.extensions, losses=losses) for tool in request.tools]
    tools = [tool for tool in told if "web_search_options" not in tool]
    for tool in told:
        if "web_search_options" in tool:
            body |= tool
    if tools:
        body["tools"] = tools
        if request.tool_choice:
            body["tool_choice"] = write_choice(request.tool_choice, request.tools)
        if request.settings.parallel_tools is not None:
            body["parallel_tool_calls"] = request.settings.parallel_tools


def _shape(output: OutputShape) -> dict[str, Any]:
    if output.schema is None:
        return {"type": "json_object"}
    inner: dict[str, Any] = {"name": re.sub(r"[^A-Za-z0-9_-]", "_", output.name)[:64] or "answer"}
    if output.description:
        inner["description"] = output.description
    inner["schema"] = output.schema
    if output.strict is not None:
        inner["strict"] = output.strict
    return {"type": "json_schema", "json_schema": inner}


def _settings(request: Request, dialect: Dialect, losses: Losses, body: dict[str, Any]) -> None:
    settings = request.settings
    if settings.max_output is not None:
        body[dialect.output] = settings.max_output
    for name, (field, low, high) in _RANGES.items():
        if (value := getattr(settings, name)) is not None:
            body[field] = min(max(value, low), high)
            if body[field] != value:
                losses.add(request.where.get(f"settings.{name}", ()), "clamped")
    for name, field in (_PLAIN | _EXTENSIONS).items():
        value = getattr(settings, name)
        if value is not None and value != "":
            if name in _EXTENSIONS and not dialect.extensions:
                losses.add(request.where.get(f"settings.{name}", ()), "not supported")
            else:
                body[field] = value
    _lists(settings, request, losses, body)


def _lists(settings: Settings, request: Request, losses: Losses, body: dict[str, Any]) -> None:
    if settings.stop:
        body["stop"] = settings.stop[:_STOPS]
        if len(settings.stop) > _STOPS:
            losses.add(request.where.get("settings.stop", ()), "clamped")
    if settings.logprobs is not None:
        body["logprobs"] = True
        if settings.logprobs:
            body["top_logprobs"] = min(settings.logprobs, 20)
    if settings.service_tier in _TIERS:
        body["service_tier"] = settings.service_tier
    elif settings.service_tier:
        losses.add(request.where.get("settings.service_tier", ()), "not supported")
    if settings.modalities:
        body["modalities"] = settings.modalities


def _thinking(thinking: Thinking, request: Request, dialect: Dialect, losses: Losses, body: dict[str, Any]) -> None:
    where = request.where.get("thinking", ())
    if dialect.extensions and (thinking.budget is not None or thinking.show is not None):
        told: dict[str, Any] = {"effort": thinking.effort} if thinking.effort else {}
        if thinking.budget is not None:
            told |= {"max_tokens": thinking.budget} if thinking.budget > 0 else {"enabled": thinking.budget != 0}
        if thinking.show is not None:
            told["exclude"] = not thinking.show
        body["reasoning"] = told
        return
    if thinking.show is not None:
        losses.add(where, "not supported")
    effort = thinking.effort
    if not effort and thinking.budget is not None and thinking.budget > 0:
        budget = thinking.budget
        effort = min(_EFFORTS[1:], key=lambda each: abs(EFFORT_TOKENS[each] - budget))
        losses.add(where, "budget as effort")
    elif not effort and thinking.budget == 0:
        losses.add(where, "not supported")  # models that do not think refuse any effort, "none" included
    if effort:
        body["reasoning_effort"] = "xhigh" if effort == "max" else effort
        if effort == "max":
            losses.add(where, "clamped")


class _Writer:
    """Writes one message: as one, or as several where it holds results of tools."""

    def __init__(self, message: Message, dialect: Dialect, losses: Losses) -> None:
        self._message = message
        self._dialect = dialect
        self._losses = losses

    def write(self) -> list[dict[str, Any]]:
        message = self._message
        if message.role == "assistant":
            return [self._named(self._assistant())]
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        others: list[Part] = [part for part in message.parts if not isinstance(part, ToolResult)]
        found = [self._result(result) for result in results]
        others = [each for result in results for each in self._moved(result)] + others
        if others or not results:
            found.append(self._named({"role": message.role, "content": self._content(others)}))
        return found

    def _named(self, told: dict[str, Any]) -> dict[str, Any]:
        return told | ({"name": self._message.name} if self._message.name else {})

    def _content(self, parts: Sequence[Part]) -> Any:
        """A string where it is one text, else a list of parts."""
        if not parts:
            return ""
        told = [self._part(part) for part in parts]
        if len(told) == 1 and set(told[0]) == {"type", "text"}:
            return told[0]["text"]
        return told

    def _part(self, part: Part) -> dict[str, Any]:
        if isinstance(part, Text):
            return {"type": "text", "text": part.text, **self._cache(part)}
        if isinstance(part, Refusal):
            return {"type": "text", "text": part.text}
        if isinstance(part, Media) and self._message.role == "user":
            return media.write(part, extensions=self._dialect.extensions) | self._cache(part)
        if isinstance(part, Native) and part.format == NAME and isinstance(part.value, dict):
            return part.value
        raise Unrepresentable(part.where, f"{type(part).__name__.lower()} in a {self._message.role} message")

    def _cache(self, part: Text | Media | ToolResult) -> dict[str, Any]:
        return write_cache(part.cache, part.where, extensions=self._dialect.extensions, losses=self._losses)

    def _id(self, id_: str) -> str:
        return fitted(id_, short=self._dialect.short_ids)

    # answers of the model

    def _assistant(self) -> dict[str, Any]:
        parts = self._message.parts
        calls = [part for part in parts if isinstance(part, ToolCall)]
        refusals = [part.text for part in parts if isinstance(part, Refusal)]
        spoken = [part for part in parts if isinstance(part, Media)]
        apart = ToolCall | Refusal | Media | Reasoning
        words = [part for part in parts if not isinstance(part, apart)]
        told: dict[str, Any] = {"role": "assistant", "content": self._content(words)}
        if not words and (calls or refusals or spoken):
            told["content"] = None
        told |= self._thoughts([part for part in parts if isinstance(part, Reasoning)])
        if refusals:
            told["refusal"] = "".join(refusals)
        if spoken:
            told |= self._spoken(spoken)
        if calls:
            told["tool_calls"] = [self._call(call) for call in calls]
        return told

    def _thoughts(self, parts: list[Reasoning]) -> dict[str, Any]:
        if self._dialect.extensions:
            return reasoning.write(parts)
        for part in parts:
            self._losses.add(part.where, "reasoning")
        return {}

    def _spoken(self, parts: list[Media]) -> dict[str, Any]:
        """What the model said that is no words: sound by its id, pictures as OpenRouter has them."""
        told: dict[str, Any] = {}
        for part in parts:
            if part.medium == "audio" and part.id:
                told["audio"] = {"id": part.id}
            elif part.medium == "image" and self._dialect.extensions:
                told.setdefault("images", []).append(media.write(part, extensions=True))
            else:
                raise Unrepresentable(part.where, f"{part.medium} of the model's")
        return told

    def _call(self, call: ToolCall) -> dict[str, Any]:
        told = write_call(call, self._id(call.id))
        if call.signature and not self._dialect.extensions:
            self._losses.add(call.where, "signature")
        elif call.signature:
            told |= write_signature(call.maker, call.signature)
        return told | write_cache(call.cache, call.where, extensions=self._dialect.extensions, losses=self._losses)

    # results of tools

    def _result(self, result: ToolResult) -> dict[str, Any]:
        if result.failed:
            self._losses.add(result.where, "failure of a tool")
        texts = [part for part in result.parts if isinstance(part, Text)]
        told = {"role": "tool", "tool_call_id": self._id(result.id), "content": self._content(texts)}
        return told | self._cache(result)

    def _moved(self, result: ToolResult) -> list[Part]:
        """Results are words here; what else a tool gave follows as the user's."""
        moved: list[Part] = [part for part in result.parts if isinstance(part, Media)]
        for part in moved:
            self._losses.add(part.where, "moved out of a tool's result")
        return moved
