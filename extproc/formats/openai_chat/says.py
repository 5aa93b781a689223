"""What the gateway itself says in chat completions: whole answers, streams, and the end of a stream that a filter stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from extproc.formats.base import Brief
from extproc.framing.jsontext import dump

FILTERED: Final = "content_filter"
_CHUNK_HEAD: Final = ("id", "object", "created", "model", "service_tier", "system_fingerprint")
_MAX_CHOICES: Final = 1024

Said = tuple[int, dict[str, str], str | None]
"""The number of a choice, its delta, and why it ended."""


def reply(text: str, model: str, request_id: str, created: int, *, refuses: bool) -> bytes:
    """See ``Format.reply``."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "logprobs": None,
        "finish_reason": FILTERED if refuses else "stop",
    }
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    return dump({**_head("chat.completion", model, request_id, created), "choices": [choice], "usage": usage})


def reply_stream(text: str, model: str, request_id: str, created: int, *, refuses: bool) -> bytes:
    """See ``Format.reply_stream``."""
    head = _head("chat.completion.chunk", model, request_id, created)
    finish = FILTERED if refuses else "stop"
    return _stream(head, [(0, {"role": "assistant", "content": text}, None), (0, {}, finish)])


class Ending(Brief):
    """See ``formats.base.Ending``: remembers how the stream names itself, and which choices are open.

    ``stream`` writes events of (choice, delta, finish reason) under a head, and the stream's end.
    """

    __slots__ = ("_choices", "_head", "_stream")

    def __init__(self, stream: Callable[[dict[str, Any], list[Said]], bytes] | None = None) -> None:
        self._stream = stream or _stream
        self._head: dict[str, Any] | None = None
        self._choices: dict[int, bool] = {}  # whether each has an end that the client knows of

    def see(self, event: Any) -> None:
        """See ``Ending``."""
        if not isinstance(event, dict):
            return
        if self._head is None:
            self._head = {name: event[name] for name in _CHUNK_HEAD if name in event}
        choices = event.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and isinstance(number := choice.get("index", 0), int):
                if choice.get("finish_reason") is not None:
                    self._choices[number] = True
                elif len(self._choices) < _MAX_CHOICES:
                    self._choices.setdefault(number, False)

    def end(self, text: str) -> bytes:
        """See ``Ending``."""
        open_ = [number for number, ended in self._choices.items() if not ended] if self._choices else [0]
        said: list[Said] = [(number, {"content": text}, None) for number in open_] if text else []
        return self._stream(self._head or {}, [*said, *((number, {}, FILTERED) for number in open_)])


def _head(kind: str, model: str, request_id: str, created: int) -> dict[str, Any]:
    return {"id": f"chatcmpl-{request_id}", "object": kind, "created": created, "model": model}


def _stream(head: dict[str, Any], said: list[Said]) -> bytes:
    """Events of (choice, delta, finish reason), and the stream's end."""
    events = [
        dump({**head, "choices": [{"index": number, "delta": delta, "logprobs": None, "finish_reason": finish}]})
        for number, delta, finish in said
    ]
    return b"".join(b"data: " + event + b"\n\n" for event in [*events, b"[DONE]"])
