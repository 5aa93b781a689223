"""How the Responses API writes things: responses, items, parts, usage, events. Builders and readers of small shapes.

Source: OpenAI API reference, "Responses", "Streaming events".
"""

from __future__ import annotations

from typing import Any, Final

from extproc.chat.answer import Usage
from extproc.framing.jsontext import dump
from extproc.framing.sse import framed

NAME: Final = "openai-responses"
FILTERED: Final = "content_filter"
TRUNCATED: Final = "max_output_tokens"

MESSAGE: Final = "message"
REASONING: Final = "reasoning"
CALL: Final = "function_call"
CUSTOM_CALL: Final = "custom_tool_call"
IMAGE_CALL: Final = "image_generation_call"
PREFIXES: Final = {MESSAGE: "msg", REASONING: "rs", CALL: "fc", CUSTOM_CALL: "ctc", IMAGE_CALL: "ig"}


def response(id_: str, model: str, created: int) -> dict[str, Any]:
    """A response of which nothing has been said yet, with every member that clients expect."""
    return {
        "id": id_,
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "usage": None,
    }


def ended(head: dict[str, Any], reason: str, output: list[Any], usage: dict[str, Any] | None) -> dict[str, Any]:
    """The response at its end; ``reason`` says why it is incomplete, empty where it is complete."""
    return {
        **head,
        "status": "incomplete" if reason else "completed",
        "incomplete_details": {"reason": reason} if reason else None,
        "output": output,
        "usage": usage,
    }


def text_part(text: str) -> dict[str, Any]:
    """A part that says something."""
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def refusal_part(text: str) -> dict[str, Any]:
    """A part that declines."""
    return {"type": "refusal", "refusal": text}


def message(id_: str, status: str, content: list[Any]) -> dict[str, Any]:
    """An item that says something."""
    return {"id": id_, "type": MESSAGE, "status": status, "role": "assistant", "content": content}


def call(id_: str, status: str, call_id: str, name: str, arguments: str) -> dict[str, Any]:
    """An item that calls a function."""
    return {"id": id_, "type": CALL, "status": status, "call_id": call_id, "name": name, "arguments": arguments}


def custom_call(id_: str, status: str, call_id: str, name: str, text: str) -> dict[str, Any]:
    """An item that calls a tool which takes text."""
    return {"id": id_, "type": CUSTOM_CALL, "status": status, "call_id": call_id, "name": name, "input": text}


def reasoning(id_: str, status: str, text: str, sealed: str, *, summary: bool) -> dict[str, Any]:
    """An item that thinks."""
    item: dict[str, Any] = {"id": id_, "type": REASONING, "status": status, "summary": []}
    if text and summary:
        item["summary"] = [{"type": "summary_text", "text": text}]
    elif text:
        item["content"] = [{"type": "reasoning_text", "text": text}]
    if sealed:
        item["encrypted_content"] = sealed
    return item


def image_call(id_: str, data: str, media_type: str) -> dict[str, Any]:
    """An item that is a picture."""
    form = media_type.partition("/")[2]
    return {
        "id": id_, "type": IMAGE_CALL, "status": "completed", "result": data, **({"output_format": form} if form else {})
    }  # fmt: skip


def usage(used: Usage) -> dict[str, Any]:
    """Tokens used."""
    given: dict[str, Any] = {"cached_tokens": used.cached, "cache_write_tokens": used.cache_write}
    return {
        "input_tokens": used.input,
        "input_tokens_details": given,
        "output_tokens": used.output,
        "output_tokens_details": {"reasoning_tokens": used.reasoning},
        "total_tokens": used.input + used.output,
    }


def read_usage(value: Any) -> Usage | None:
    """The same read; None where nothing is told."""
    if not isinstance(value, dict):
        return None
    given, made = value.get("input_tokens_details"), value.get("output_tokens_details")
    return Usage(
        input=count(value, "input_tokens"),
        output=count(value, "output_tokens"),
        cached=count(given, "cached_tokens"),
        reasoning=count(made, "reasoning_tokens"),
        cache_write=count(given, "cache_write_tokens"),
    )


def count(holder: Any, name: str) -> int:
    """A number of things; 0 for anything else."""
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if type(value) is int and value >= 0 else 0


def string(holder: Any, name: str) -> str:
    """A member that is a string; empty for anything else."""
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if isinstance(value, str) else ""


def listed(holder: Any, name: str) -> list[dict[str, Any]]:
    """The objects in a member that is a list."""
    value = holder.get(name) if isinstance(holder, dict) else None
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def event(kind: str, number: int, **members: Any) -> bytes:
    """An event of a stream."""
    return framed(dump({"type": kind, "sequence_number": number, **members}), kind)


def error_event(number: int, code: str, message: str, kind: str, param: str = "") -> bytes:
    """The event that ends a stream with an error."""
    told = {"code": code or None, "message": message, "param": param or None}
    return event("error", number, **told, error={"type": kind, **told})


class Numbers:
    """Counts the events of one stream."""

    __slots__ = ("next",)

    def __init__(self, first: int = 0) -> None:
        self.next = first

    def event(self, kind: str, **members: Any) -> bytes:
        """The next event."""
        number, self.next = self.next, self.next + 1
        return event(kind, number, **members)
