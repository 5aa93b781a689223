"""What the gateway itself says in Gemini's shape: whole answers, streams, and the end of one that a filter stops."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from extproc.chat.answer import Usage
from extproc.formats.base import Brief
from extproc.formats.gemini.names import camel, either
from extproc.formats.gemini.tokens import ended, metadata
from extproc.framing.jsontext import Path, dump
from extproc.framing.sse import framed

FILTERED: Final = "SAFETY"
_HEAD: Final = ("modelVersion", "responseId", "createTime")
_KEPT: Final = frozenset({"content", "index", "finishReason", "safetyRatings", "avgLogprobs", "tokenCount"})
"""Members of a candidate that stay when it is cut short."""
_MAX_CANDIDATES: Final = 1024


def candidate(text: str | None, finish: str | None, index: int) -> dict[str, Any]:
    """A candidate that says this; None for no text."""
    parts = [] if text is None else [{"text": text}]
    found: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": index}
    return {**found, "finishReason": finish} if finish else found


def head(model: str, request_id: str, created: int) -> dict[str, Any]:
    """How an answer names itself; ``created`` is Unix time in seconds, 0 for unknown."""
    found = {"modelVersion": model, "responseId": request_id}
    if not 0 < created < 2**37:  # beyond that no calendar goes
        return found
    return {**found, "createTime": datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}


def answer(text: str, model: str, request_id: str, created: int, *, refuses: bool) -> dict[str, Any]:
    """A whole answer that says ``text``; see ``Format.reply``."""
    said = candidate(text, FILTERED if refuses else "STOP", 0)
    return {"candidates": [said], "usageMetadata": metadata(Usage()), **head(model, request_id, created)}


def stream(event: dict[str, Any]) -> bytes:
    """A stream of one event. Nothing marks the end."""
    return framed(dump(event))


class Ending(Brief):
    """See ``formats.base.Ending``: remembers how the stream names itself, and which candidates are open."""

    __slots__ = ("_candidates", "_head")

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._candidates: dict[int, bool] = {}  # whether each has an end that the client knows of

    def see(self, event: Any) -> None:
        """See ``Ending``."""
        if not isinstance(event, dict):
            return
        if not self._head:
            self._head = {name: event[name] for name in _HEAD if name in event}
        candidates = event.get("candidates")
        for each in candidates if isinstance(candidates, list) else ():
            number = (each.get("index") or 0) if isinstance(each, dict) else None
            if isinstance(number, int) and len(self._candidates) < _MAX_CANDIDATES:
                self._candidates[number] = ended(each) is not None

    def end(self, text: str) -> bytes:
        """See ``Ending``. Some servers end a candidate in every event; where all have ended, all end once more."""
        open_ = [number for number, done in self._candidates.items() if not done]
        said = [candidate(text or None, FILTERED, number) for number in open_ or list(self._candidates) or [0]]
        return stream({"candidates": said, **self._head})


def cut(body: Any, path: Path, text: str) -> Mapping[Path, bytes]:
    """See ``Format.cut``. Every edit is of one member of a part, so that those of several cuts fit together."""
    at = 1 if path and isinstance(path[0], int) else 0
    here = path[: at + 2]
    if len(path) < at + 3 or path[at] != "candidates":
        return {path: dump(text)}
    inside: Any = body[path[0]] if at else body
    found = inside["candidates"][path[at + 1]]
    edits: dict[Path, bytes] = {(*here, key): b"null" for key in found if camel(key) not in _KEPT}
    edits |= {(*here, key): dump(FILTERED) for key in found if camel(key) == "finishReason"}
    if path[at + 2] != "content":
        return edits
    parts = either(found["content"], "parts")
    place = path[at + 4] if len(path) > at + 5 else None
    for index, part in enumerate(parts if isinstance(parts, list) else []):
        if isinstance(place, int) and index < place:
            continue
        spot = (*here, "content", "parts", index)
        if not isinstance(part, dict):
            edits[spot] = b"null"
            continue
        edits |= {(*spot, key): b"null" for key in part if key != "thought"}
        if index == place and isinstance(part.get(path[at + 5]), str):
            edits[*spot, path[at + 5]] = dump(text)
    return edits if parts else {**edits, path: dump(text)}
