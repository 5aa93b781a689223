"""What the gateway itself says in messages: whole answers, streams, and the ends of what a filter stops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from extproc.formats.anthropic.words import REFUSED, count, write_usage
from extproc.formats.base import Brief
from extproc.framing.jsontext import Path, dump
from extproc.framing.sse import framed

_MAX_BLOCKS: Final = 1024
_NOTHING: Final = b'{"type":"text","text":""}'
"""Stands for a block that was taken away: a list cannot lose an element in place."""


def event(kind: str, **members: Any) -> bytes:
    """One event of a stream; its type is also its name."""
    return framed(dump({"type": kind, **members}), kind)


def message(
    id_: str, model: str, content: list[dict[str, Any]], stop: str | None, usage: dict[str, Any]
) -> dict[str, Any]:
    """A message, whole or as it begins."""
    return {
        "id": id_,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": usage,
    }


def stopped(reason: str | None, usage: dict[str, Any], stopped_by: str = "") -> bytes:
    """The last two events of a stream."""
    delta = {"stop_reason": reason, "stop_sequence": stopped_by or None}
    return event("message_delta", delta=delta, usage=usage) + event("message_stop")


def text_block(index: int, text: str) -> bytes:
    """A block of text, as the events of a stream."""
    return (
        event("content_block_start", index=index, content_block={"type": "text", "text": ""})
        + event("content_block_delta", index=index, delta={"type": "text_delta", "text": text})
        + event("content_block_stop", index=index)
    )


def reply(text: str, model: str, request_id: str, *, refuses: bool) -> bytes:
    """See ``Format.reply``. An empty text is no block: the API would not take it back."""
    content = [{"type": "text", "text": text}] if text else []
    return dump(message(f"msg_{request_id}", model, content, _stop(refuses), write_usage(None)))


def reply_stream(text: str, model: str, request_id: str, *, refuses: bool) -> bytes:
    """See ``Format.reply_stream``."""
    head = event("message_start", message=message(f"msg_{request_id}", model, [], None, write_usage(None)))
    return head + (text_block(0, text) if text else b"") + stopped(_stop(refuses), {"output_tokens": 0})


def _stop(refuses: bool) -> str:
    return REFUSED if refuses else "end_turn"


class Ending(Brief):
    """See ``formats.base.Ending``: remembers which blocks are open and how far the message is."""

    __slots__ = ("_done", "_next", "_open", "_output", "_started", "_stopped")

    def __init__(self) -> None:
        self._started = self._stopped = self._done = False
        self._open: dict[int, None] = {}
        self._next = 0  # the number of the next block
        self._output = 0  # tokens, as far as the client has been told

    def see(self, event: Any) -> None:
        """See ``Ending``."""
        kind = event.get("type") if isinstance(event, dict) else None
        if kind == "message_start":
            self._started = True
            told = event.get("message")
            self._output = count(told.get("usage") if isinstance(told, dict) else None, "output_tokens")
        elif kind == "content_block_start":
            self._see_block(event.get("index"))
        elif kind == "content_block_stop":
            index = event.get("index")
            if isinstance(index, int):
                self._open.pop(index, None)
        elif kind == "message_delta":
            self._stopped = True
        elif kind == "message_stop":
            self._done = True

    def _see_block(self, index: Any) -> None:
        if isinstance(index, int) and index >= 0 and len(self._open) < _MAX_BLOCKS:
            self._open[index] = None
            self._next = max(self._next, index + 1)

    def end(self, text: str) -> bytes:
        """See ``Ending``. A message whose reason to stop has been told says nothing more."""
        if self._done:
            return b""
        out = [] if self._started else [event("message_start", message=message("", "", [], None, write_usage(None)))]
        out += [event("content_block_stop", index=index) for index in self._open]
        if self._stopped:
            return b"".join([*out, event("message_stop")])
        if text:
            out.append(text_block(self._next, text))
        return b"".join([*out, stopped(REFUSED, {"output_tokens": self._output})])


def cut(body: Any, path: Path, text: str) -> Mapping[Path, bytes]:
    """See ``Format.cut``. The block that is cut keeps its text alone, every block after it goes.

    A block of text or thinking is cut in its words; any other that a match begins in goes as a whole.
    """
    if path[:1] != ("content",) or len(path) < 3 or not isinstance(path[1], int):
        return {path: dump(text)}
    at = path[1]
    kind = body["content"][at].get("type")
    edits: dict[Path, bytes] = {("content", at): _NOTHING}
    if path[2:] == ("text",) and kind == "text":
        edits["content", at] = dump({"type": "text", "text": text})
    elif path[2:] == ("thinking",) and kind == "thinking":
        edits["content", at] = dump({"type": "thinking", "thinking": text, "signature": ""})
    for later in range(at + 1, len(body["content"])):
        edits["content", later] = _NOTHING
    edits["stop_reason",] = dump(REFUSED)
    edits["stop_sequence",] = b"null"
    return edits
