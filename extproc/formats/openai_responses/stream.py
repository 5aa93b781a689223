"""Streams of the Responses API, read into the canonical form.

Source: OpenAI API reference, "Responses", "Streaming events". Not every server sends every event: a part begins with the
first that tells of it, and what an event repeats counts where it was not said before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from extproc.chat.answer import (
    Failure,
    FailureKind,
    Finish,
    Finished,
    PartDelta,
    PartEnd,
    PartStart,
    Start,
    StreamEvent,
    Used,
)
from extproc.chat.losses import Losses
from extproc.chat.parts import Part, Reasoning, Refusal, Text, ToolCall
from extproc.errors import DecodeError
from extproc.formats.openai_responses import answers, events, failures, seals, shapes
from extproc.formats.openai_responses.shapes import listed, string
from extproc.framing.jsontext import parse

_MAX_ITEMS: Final = 4096
_MAX_PARTS: Final = 20_000
_ENDS: Final = frozenset({"response.completed", "response.incomplete"})
_FAILED: Final = frozenset({"error", "response.failed", "response.cancelled"})
_TEXTS: Final = {"output_text": "text", "refusal": "refusal", "reasoning_text": "text", "summary_text": "text"}
"""Types of parts, and the member that holds what they say."""
_STEMS: Final = {
    events.TEXT: "output_text",
    events.REFUSAL: "refusal",
    events.THOUGHT: "reasoning_text",
    events.SUMMARY: "summary_text",
}
_CALLS: Final = {events.ARGUMENTS: "arguments", events.INPUT: "input"}


@dataclass(slots=True)
class _Open:
    """A part under way: its number, and how many characters of each piece of it have been said."""

    number: int
    said: dict[int, int] = field(default_factory=dict)
    ended: bool = False


@dataclass(slots=True)
class _Item:
    """An item under way, by the parts it has come to: (type, index of the content part)."""

    id: str = ""
    maker: str = seals.MAKER
    parts: dict[tuple[str, int], _Open] = field(default_factory=dict)
    done: bool = False


class Decoder:
    """See ``chat.codec.StreamDecoder``."""

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        self._items: dict[int, _Item] = {}
        self._out: list[StreamEvent] = []
        self._started = False
        self._ended = False
        self._number = 0
        self._kinds: set[type] = set()  # of parts that have begun

    def decode(self, name: str, data: bytes) -> list[StreamEvent]:
        """See ``StreamDecoder``."""
        if self._ended or data.strip() in (b"", b"[DONE]"):
            return []
        event = parse(data)
        if not isinstance(event, dict):
            raise DecodeError("an event is not an object")
        kind = event.get("type", name)
        if isinstance(kind, str):
            self._event(event, kind)
        return self._taken()

    def close(self) -> list[StreamEvent]:
        """See ``StreamDecoder``."""
        if not self._ended:
            self._ended = True
            self._start({})
            self._out.append(Failure(FailureKind.INTERNAL, "The provider's stream broke off.", "stream_truncated"))
        return self._taken()

    def _taken(self) -> list[StreamEvent]:
        out, self._out = self._out, []
        return out

    def _event(self, event: dict[str, Any], kind: str) -> None:
        if kind in _FAILED or (kind not in _ENDS and isinstance(event.get("error"), dict)):
            self._start({})
            response = event.get("response")
            self._out.append(failures.read_told(response if isinstance(response, dict) else event))
            self._ended = True
            return
        if "response" in event:
            self._start(event["response"])
        stem, _, verb = kind.rpartition(".")
        if kind in _ENDS:
            self._finish(event.get("response"))
        elif kind in ("response.output_item.added", "response.output_item.done"):
            self._item(event, done=verb == "done")
        elif stem in _STEMS and verb in ("delta", "done"):
            part = _STEMS[stem]
            self._say(
                event, part, event.get("delta") if verb == "delta" else event.get(_TEXTS[part]), whole=verb == "done"
            )
        elif stem in _CALLS and verb in ("delta", "done"):
            self._call(event, stem, whole=verb == "done")
        elif stem in ("response.content_part", "response.reasoning_summary_part"):
            part = string(event.get("part"), "type")
            if part in _TEXTS:
                self._say(event, part, event["part"].get(_TEXTS[part]), whole=True)

    def _start(self, response: Any) -> None:
        if not self._started:
            self._started = True
            self._out.append(Start(string(response, "id"), string(response, "model"), answers.created(response)))

    # parts

    def _under_way(self, event: dict[str, Any]) -> _Item:
        """The item an event belongs to."""
        self._start({})
        index = events.number(event, "output_index")
        if index is None:
            ids = [at for at, item in self._items.items() if item.id and item.id == event.get("item_id")]
            index = ids[0] if ids else max(self._items, default=0)
        if index not in self._items and len(self._items) >= _MAX_ITEMS:
            raise DecodeError("a stream has too many items")
        return self._items.setdefault(index, _Item(string(event, "item_id")))

    def _begun(self, item: _Item, key: tuple[str, int], make: Callable[[], Part]) -> _Open:
        """A part of an item, which begins now if it has not yet."""
        found = item.parts.get(key)
        if found is None:
            if self._number >= _MAX_PARTS:
                raise DecodeError("a stream has too many parts")
            found = item.parts[key] = _Open(self._number)
            item.done = False
            part = make()
            self._kinds.add(type(part))
            self._out.append(PartStart(0, self._number, part))
            self._number += 1
        return found

    def _say(self, event: dict[str, Any], kind: str, text: Any, *, whole: bool) -> None:
        """More of a part, or the whole of it once more."""
        if not isinstance(text, str):
            return
        summary = kind == "summary_text"
        place = events.number(event, "summary_index" if summary else "content_index") or 0
        self._tell(self._under_way(event), kind, place, text, whole=whole)

    def _tell(self, item: _Item, kind: str, place: int, text: str, *, whole: bool) -> None:
        if kind in ("summary_text", "reasoning_text"):
            if not text:
                return
            summary = kind == "summary_text"
            open_ = self._begun(item, (kind, 0), lambda: Reasoning("", maker=item.maker, summary=summary, id=item.id))
            if summary and place not in open_.said and open_.said:
                self._more(open_, place, "\n\n", told=0)
        else:
            open_ = self._begun(item, (kind, place), lambda: Text("") if kind == "output_text" else Refusal(""))
        said = open_.said.setdefault(place, 0)
        if whole:
            text = text[said:]
        self._more(open_, place, text, told=len(text))

    def _more(self, open_: _Open, place: int, text: str, told: int) -> None:
        if text and open_.ended:
            raise DecodeError("a part goes on after its end")
        if text:
            open_.said[place] = open_.said.get(place, 0) + told
            self._out.append(PartDelta(0, open_.number, text))

    def _call(self, event: dict[str, Any], stem: str, *, whole: bool) -> None:
        text = event.get(_CALLS[stem] if whole else "delta")
        if isinstance(text, str):
            item = self._under_way(event)
            open_ = item.parts.get(("call", 0))
            if open_ is None:
                raise DecodeError("the arguments of a call come before its name")
            self._more(open_, 0, text[open_.said.get(0, 0) :] if whole else text, told=len(text))

    # items

    def _item(self, event: dict[str, Any], *, done: bool) -> None:
        value = event.get("item")
        if not isinstance(value, dict):
            raise DecodeError("an item is not an object")
        item = self._under_way(event)
        if item.done:
            return
        item.id = string(value, "id") or item.id
        kind = value.get("type")
        if kind in (shapes.CALL, shapes.CUSTOM_CALL):
            self._whole_call(item, value)
        elif kind == shapes.MESSAGE:
            for place, part in enumerate(listed(value, "content")):
                self._whole_part(item, part, place)
        elif kind == shapes.REASONING and not done:
            item.maker = seals.opened(Reasoning(""), string(value, "encrypted_content")).maker
        elif kind == shapes.REASONING:
            self._whole_reasoning(item, value)
        elif done:
            for made in answers.read_item(value):
                open_ = _Open(self._number)
                self._number += 1
                self._out += [PartStart(0, open_.number, made), PartEnd(0, open_.number)]
        if done:
            answers.lose(value, events.number(event, "output_index") or 0, self._losses)
            self._end(item)

    def _whole_part(self, item: _Item, part: dict[str, Any], place: int) -> None:
        kind = string(part, "type")
        text = part.get(_TEXTS.get(kind, ""))
        if isinstance(text, str):
            self._tell(item, kind, place, text, whole=True)

    def _whole_call(self, item: _Item, value: dict[str, Any]) -> None:
        custom = value.get("type") == shapes.CUSTOM_CALL
        text = string(value, "input" if custom else "arguments")
        open_ = self._begun(
            item, ("call", 0), lambda: ToolCall(string(value, "call_id"), string(value, "name"), custom=custom)
        )
        text = text[open_.said.get(0, 0) :]
        self._more(open_, 0, text, told=len(text))

    def _whole_reasoning(self, item: _Item, value: dict[str, Any]) -> None:
        for name in ("summary", "content"):
            for place, part in enumerate(listed(value, name)):
                self._whole_part(item, part, place)
        sealed = string(value, "encrypted_content")
        if sealed:
            made = seals.opened(Reasoning("", id=item.id), sealed)
            open_ = [each for (kind, _), each in item.parts.items() if kind in ("summary_text", "reasoning_text")]
            if not open_ or made.maker != item.maker:
                shell = Reasoning("", maker=made.maker, id=item.id)
                open_ = [self._begun(item, ("sealed", 0), lambda: shell)]
            self._out.append(PartDelta(0, open_[-1].number, signature=made.signature, sealed=made.sealed))

    def _end(self, item: _Item) -> None:
        item.done = True
        for part in item.parts.values():
            if not part.ended:
                part.ended = True
                self._out.append(PartEnd(0, part.number))

    def _finish(self, response: Any) -> None:
        self._start({})
        if not self._items:  # some servers say everything at the end
            for index, value in enumerate(listed(response, "output")):
                self._item({"item": value, "output_index": index}, done=True)
        for item in self._items.values():
            if not item.done:
                self._end(item)
        called = [ToolCall("", "")] if ToolCall in self._kinds else []
        refused = [Refusal("")] if Refusal in self._kinds else []
        finish = answers.finish(response, [*called, *refused]) if isinstance(response, dict) else Finish.STOP
        self._out.append(Finished(0, finish))
        if used := shapes.read_usage(response.get("usage") if isinstance(response, dict) else None):
            self._out.append(Used(used))
        self._ended = True
