"""How a stream of the Responses API is ended by a filter at any time: with what the client has been told, closed in order.

Clients take an answer from its last event as well as from the deltas, so the end repeats what was said, and only that: the
texts as they left. They are kept up to a size; an answer that is longer ends without being repeated.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Final

from extproc.formats.openai_responses import events, shapes
from extproc.formats.openai_responses.shapes import Numbers, string
from extproc.formats.walk import structural

_MAX_KEPT: Final = 1 << 20
_MAX_ITEMS: Final = 1024
_KINDS: Final = {
    events.TEXT: "output_text",
    events.REFUSAL: "refusal",
    events.THOUGHT: "reasoning_text",
    events.SUMMARY: "summary_text",
}
_ITEMS: Final = {
    events.TEXT: shapes.MESSAGE,
    events.REFUSAL: shapes.MESSAGE,
    events.THOUGHT: shapes.REASONING,
    events.SUMMARY: shapes.REASONING,
    events.ARGUMENTS: shapes.CALL,
    events.INPUT: shapes.CUSTOM_CALL,
}
_MARKS: Final = {
    "response.output_text.done": 1,
    "response.refusal.done": 1,
    "response.reasoning_text.done": 1,
    "response.reasoning_summary_text.done": 1,
    "response.content_part.done": 2,
    "response.reasoning_summary_part.done": 2,
}
"""How far a part is closed by an event: its text, or the part itself."""


_WORDS: Final = ("content", "summary", "arguments", "input", "text", "refusal")
_WHOLE: Final = "whole"


@dataclass(slots=True)
class _Part:
    """A part of an item: its type, its number among those of its list, what was said of it, and how far it is closed."""

    kind: str
    number: int
    said: list[str] = field(default_factory=list)
    closed: int = 0

    def json(self) -> dict[str, Any]:
        """The part as it is repeated."""
        text = "".join(self.said)
        if self.kind == "output_text":
            return shapes.text_part(text)
        return {"type": self.kind, "refusal" if self.kind == "refusal" else "text": text}


@dataclass(slots=True)
class _Item:
    """An item of the answer, as far as the client knows it."""

    kind: str = ""
    id: str = ""
    call_id: str = ""
    name: str = ""
    parts: list[_Part] = field(default_factory=list)
    closed: bool = False
    call_closed: bool = False

    def part(self, kind: str, number: int | None) -> _Part:
        """The part of this type and number; the last one of the type where there is no number."""
        same = [part for part in self.parts if part.kind == kind and number in (None, part.number)]
        if not same:
            others = [part for part in self.parts if (part.kind == "summary_text") is (kind == "summary_text")]
            same = [_Part(kind, len(others) if number is None else number)]
            self.parts += same
        return same[-1]

    def said(self) -> str:
        """Everything said in it."""
        return "".join([text for part in self.parts for text in part.said])

    def json(self, status: str) -> dict[str, Any]:
        """The item as it is repeated."""
        if self.kind == shapes.CALL:
            return shapes.call(self.id, status, self.call_id, self.name, self.said())
        if self.kind == shapes.CUSTOM_CALL:
            return shapes.custom_call(self.id, status, self.call_id, self.name, self.said())
        content = [part.json() for part in self.parts if part.kind != "summary_text"]
        if self.kind == shapes.MESSAGE:
            return shapes.message(self.id, status, content)
        item = shapes.reasoning(self.id, status, "", "", summary=True)
        item["summary"] = [part.json() for part in self.parts if part.kind == "summary_text"]
        return {**item, "content": content} if content else item


class Ending:
    """See ``formats.base.Ending``."""

    retells = True

    __slots__ = ("_ended", "_head", "_items", "_kept", "_last", "_numbers")

    def __init__(self) -> None:
        self._head: dict[str, Any] | None = None
        self._items: dict[int, _Item] = {}
        self._numbers = Numbers()
        self._kept = 0
        self._last = -1  # the highest number an item had
        self._ended = False

    def more(self, track: Hashable, text: str) -> None:
        """See ``Ending``."""
        self._numbers.next += 1  # ``see`` knows better, but is not told of all events
        if not isinstance(track, tuple) or len(track) < 2 or not isinstance(track[1], int):
            return
        stem, index = track[0], track[1]
        if stem not in _ITEMS and stem != events.NAME:
            return
        self._kept += len(text)
        item = self._item(index)
        if item is None or self._kept > _MAX_KEPT:
            self._items.clear()
            return
        if stem == events.NAME:
            item.name = text
            return
        item.kind = item.kind or _ITEMS[stem]
        place = track[3] if stem == events.SUMMARY else track[2] if stem == events.THOUGHT else None
        item.part(_KINDS.get(stem, ""), place).said.append(text)

    def see(self, event: Any) -> None:
        """See ``Ending``."""
        if not isinstance(event, dict):
            return
        number, kind = event.get("sequence_number"), event.get("type")
        if isinstance(number, int) and 0 <= number < 1 << 53:
            self._numbers.next = number + 1
        if self._head is None and isinstance(response := event.get("response"), dict):
            self._head = _head(response)
        self._ended = self._ended or kind in events.FINAL
        index = event.get("output_index")
        item = self._item(index) if isinstance(index, int) and isinstance(kind, str) else None
        if item is not None:
            _note(item, event, str(kind))

    def _item(self, index: int) -> _Item | None:
        if index not in self._items and len(self._items) >= _MAX_ITEMS:
            return None
        self._last = max(self._last, index)
        return self._items.setdefault(index, _Item())

    def end(self, text: str) -> bytes:
        """See ``Ending``."""
        if self._ended:
            return b""
        whole = self._kept <= _MAX_KEPT
        known = {index: item for index, item in sorted(self._items.items()) if item.kind in _ITEMS.values()}
        known = known if whole else {}
        head = self._head or shapes.response("resp_filtered", "", 0)
        out: list[bytes] = []
        for index, item in known.items():
            if not item.closed:
                out += self._closing(index, item)
        output = [item.json("completed" if item.closed else "incomplete") for item in known.values()]
        if text:
            index = self._last + 1
            item = _Item(shapes.MESSAGE, f"msg_{string(head, 'id').removeprefix('resp_')}_end")
            part = _Part("output_text", 0, [text])
            at = {"item_id": item.id, "output_index": index, "content_index": 0}
            added = self._numbers.event
            out += [
                added("response.output_item.added", output_index=index, item=item.json("in_progress")),
                added("response.content_part.added", **at, part=shapes.text_part("")),
                added("response.output_text.delta", **at, delta=text, logprobs=[]),
            ]
            item.parts.append(part)
            out += self._closing(index, item, "completed")
            output.append(item.json("completed"))
        response = shapes.ended(head, shapes.FILTERED, output, None)
        out.append(self._numbers.event("response.incomplete", response=response))
        return b"".join(out)

    def _closing(self, index: int, item: _Item, status: str = "incomplete") -> list[bytes]:
        """The events that close an item."""
        at = {"item_id": item.id, "output_index": index}
        out = [closing for part in item.parts if part.kind for closing in self._closing_part(at, part)]
        if item.kind == shapes.CALL and not item.call_closed:
            out.append(self._numbers.event(f"{events.ARGUMENTS}.done", **at, name=item.name, arguments=item.said()))
        elif item.kind == shapes.CUSTOM_CALL and not item.call_closed:
            out.append(self._numbers.event(f"{events.INPUT}.done", **at, input=item.said()))
        out.append(self._numbers.event("response.output_item.done", output_index=index, item=item.json(status)))
        return out

    def _closing_part(self, at: dict[str, Any], part: _Part) -> list[bytes]:
        """The events that close a part."""
        summary = part.kind == "summary_text"
        at = {**at, "summary_index" if summary else "content_index": part.number}
        said = part.json()
        name = "refusal" if part.kind == "refusal" else "text"
        more: dict[str, Any] = {"logprobs": []} if part.kind == "output_text" else {}
        stem = next(stem for stem, kind in _KINDS.items() if kind == part.kind)
        out: list[bytes] = []
        if part.closed < 1:
            out.append(self._numbers.event(f"{stem}.done", **at, **{name: said[name]}, **more))
        if part.closed < 2:
            kind = "response.reasoning_summary_part.done" if summary else "response.content_part.done"
            out.append(self._numbers.event(kind, **at, part=said))
        return out


def _head(response: dict[str, Any]) -> dict[str, Any]:
    """How the answer names itself, where that is nothing but names."""
    created = response.get("created_at")
    id_, model = (value if structural(value) else "" for value in (string(response, "id"), string(response, "model")))
    return shapes.response(
        id_, model, int(created) if isinstance(created, int | float) and 0 <= created < 1 << 53 else 0
    )


def _note(item: _Item, event: dict[str, Any], kind: str) -> None:
    """Note what an event says of its item, but for the texts."""
    if kind == "response.output_item.added":
        given = event.get("item")
        item.kind = _WHOLE if _speaks(given) else string(given, "type")
        item.id, item.call_id = (
            value if structural(value) else "" for value in (string(given, "id"), string(given, "call_id"))
        )
        return
    if kind == "response.output_item.done":
        item.closed = True
        return
    content, summary = event.get("content_index"), event.get("summary_index")
    if kind in ("response.content_part.added", "response.reasoning_summary_part.added"):
        part = string(event.get("part"), "type")
        if _speaks(event.get("part")):
            item.kind = _WHOLE
        elif part in _KINDS.values():
            item.part(part, summary if part == "summary_text" else content)
    elif step := _MARKS.get(kind):
        for part_ in item.parts:
            if part_.number == (summary if part_.kind == "summary_text" else content):
                part_.closed = max(part_.closed, step)
    elif kind in (f"{events.ARGUMENTS}.done", f"{events.INPUT}.done"):
        item.call_closed = True


def _speaks(value: Any) -> bool:
    """Whether an item or part that begins says something already: it came as a whole, and is not repeated."""
    return isinstance(value, dict) and any(value.get(name) for name in _WORDS)
