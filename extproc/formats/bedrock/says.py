"""What the gateway itself says in Converse: whole answers, streams, and the end of a stream that a filter stops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from extproc.formats.base import Brief
from extproc.framing.aws import framed
from extproc.framing.jsontext import Path, dump

FILTERED: Final = "guardrail_intervened"
_NOTHING: Final = {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}
_NOW: Final = {"latencyMs": 0}
_MAX_BLOCKS: Final = 1024
_CONTENT: Final = ("output", "message", "content")


def event(name: str, value: dict[str, Any]) -> bytes:
    """An event of a stream."""
    return framed(name, dump(value))


def reply(text: str, *, refuses: bool) -> bytes:
    """See ``Format.reply``."""
    return dump({
        "output": {"message": {"role": "assistant", "content": [{"text": text}] if text else []}},
        "stopReason": FILTERED if refuses else "end_turn",
        "usage": _NOTHING,
        "metrics": _NOW,
    })  # fmt: skip


def reply_stream(text: str, *, refuses: bool) -> bytes:
    """See ``Format.reply_stream``."""
    return b"".join([
        event("messageStart", {"role": "assistant"}),
        _block(0, text),
        event("messageStop", {"stopReason": FILTERED if refuses else "end_turn"}),
        event("metadata", {"usage": _NOTHING, "metrics": _NOW}),
    ])  # fmt: skip


def _block(number: int, text: str) -> bytes:
    said = event("contentBlockDelta", {"contentBlockIndex": number, "delta": {"text": text}}) if text else b""
    return said and said + event("contentBlockStop", {"contentBlockIndex": number})


class Ending(Brief):
    """See ``formats.base.Ending``: remembers which blocks are open, and whether the message is."""

    __slots__ = ("_last", "_open", "_started", "_stopped")

    def __init__(self) -> None:
        self._started = False
        self._stopped = False
        self._open: set[int] = set()
        self._last = -1

    def see(self, event: Any) -> None:
        """See ``Ending``."""
        if not isinstance(event, dict) or len(event) != 1:
            return
        ((name, value),) = event.items()
        self._started = self._started or name == "messageStart"
        self._stopped = self._stopped or name == "messageStop"
        number = value.get("contentBlockIndex") if isinstance(value, dict) else None
        if not isinstance(number, int) or isinstance(number, bool):
            return
        self._last = max(self._last, number)
        if name == "contentBlockStop":
            self._open.discard(number)
        elif len(self._open) < _MAX_BLOCKS:
            self._open.add(number)

    def end(self, text: str) -> bytes:
        """See ``Ending``. A message that has ended can say nothing more."""
        if self._stopped:
            return b""
        return b"".join([
            b"" if self._started else event("messageStart", {"role": "assistant"}),
            *(event("contentBlockStop", {"contentBlockIndex": number}) for number in sorted(self._open)),
            _block(self._last + 1, text),
            event("messageStop", {"stopReason": FILTERED}),
        ])  # fmt: skip


def cut(body: Any, path: Path, text: str) -> Mapping[Path, bytes]:
    """See ``Format.cut``. Blocks cannot be taken out of their list: those after the end say nothing."""
    if path[:3] != _CONTENT or len(path) < 5:
        return {path: dump(text)}
    edits: dict[Path, bytes] = {("stopReason",): dump(FILTERED), path[:4]: dump(_part(path, text))}
    for later in range(int(path[3]) + 1, len(body["output"]["message"]["content"])):
        edits[*_CONTENT, later] = b'{"text":""}'
    return edits


def _part(path: Path, text: str) -> dict[str, Any]:
    """A block that ends in this text. Of a call nothing may be left that is half of it."""
    if path[4] == "reasoningContent":
        return {"reasoningContent": {"reasoningText": {"text": text}}}
    return {"text": text if path[4] in ("text", "citationsContent") else ""}
