"""Streams of the Responses API, written from the canonical form.

Source: OpenAI API reference, "Responses", "Streaming events". Every text is repeated by the event that ends it, by its
part's, by its item's and by the response's, so all of an answer is kept until its end.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
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
from extproc.chat.codec import Context
from extproc.chat.losses import Losses
from extproc.chat.parts import Part, Reasoning, Refusal, Text, ToolCall
from extproc.formats.openai_failures import TYPES
from extproc.formats.openai_responses import answers, events, seals, shapes
from extproc.formats.openai_responses.shapes import Numbers

_MAX_KEPT: Final = 32 << 20
"""Characters of one answer."""


@dataclass(slots=True)
class _Item:
    """An item that has begun; ``content`` are the parts of a message, in order, ``open`` of which have not ended."""

    id: str
    index: int
    content: list[dict[str, Any]] = field(default_factory=list)
    open: int = 0


@dataclass(slots=True)
class _Open:
    """A part that has begun: what was said of it, and where it stands."""

    part: Part
    item: _Item
    place: int
    said: list[str] = field(default_factory=list)
    signature: list[str] = field(default_factory=list)
    sealed: list[str] = field(default_factory=list)

    def whole(self) -> Any:
        """The part with all that was said."""
        made: dict[str, Any] = {}
        if isinstance(self.part, Text | Refusal | Reasoning):
            made["text"] = self.part.text + "".join(self.said)
        elif isinstance(self.part, ToolCall):
            made["arguments"] = self.part.arguments + "".join(self.said)
        if isinstance(self.part, Reasoning | ToolCall):
            made["signature"] = self.part.signature + "".join(self.signature)
        if isinstance(self.part, Reasoning):
            made["sealed"] = self.part.sealed + "".join(self.sealed)
        return replace(self.part, **made)


class Encoder:
    """See ``chat.codec.StreamEncoder``."""

    def __init__(self, context: Context, losses: Losses) -> None:
        self._context = context
        self._losses = losses
        self._numbers = Numbers()
        self._head: dict[str, Any] | None = None
        self._open: dict[int, _Open] = {}
        self._items = 0
        self._message: _Item | None = None  # words that follow become another part of it
        self._output: dict[int, dict[str, Any]] = {}
        self._parts: list[Part] = []
        self._finished: Finish | None = None
        self._used: dict[str, Any] | None = None
        self._over = False
        self._kept = 0

    def encode(self, event: StreamEvent) -> bytes:
        """See ``StreamEncoder``."""
        if self._over:
            return b""
        if isinstance(event, Failure):
            return self._fail(event)
        if isinstance(event, Start):
            return self._start(event)
        if isinstance(event, Used):
            self._used = shapes.usage(event.usage)
            return b""
        if event.choice:
            self._losses.add(("choices", event.choice), "only one answer is given")
            return b""
        begun = b"" if self._head else self._start(Start())
        if isinstance(event, PartStart):
            return begun + self._begin(event)
        if isinstance(event, PartDelta):
            self._kept += len(event.text) + len(event.signature) + len(event.sealed)
            if self._kept > _MAX_KEPT:
                return self._fail(
                    Failure(FailureKind.INTERNAL, "The provider's answer is too long.", "upstream_too_large")
                )
            open_ = self._open.get(event.number)
            return begun + (self._more(open_, event) if open_ else b"")
        if isinstance(event, PartEnd):
            return begun + self._end(event.number)
        return begun + self._finish(event)

    def close(self) -> bytes:
        """See ``StreamEncoder``."""
        if self._over:
            return b""
        if self._finished is None or self._head is None:
            return self._fail(Failure(FailureKind.INTERNAL, "The provider's stream broke off.", "stream_truncated"))
        self._over = True
        reason = answers.reason(self._finished, self._parts, self._losses)
        output = [self._output[index] for index in sorted(self._output)]
        response = shapes.ended(self._head, reason, output, self._used)
        return self._numbers.event(f"response.{response['status']}", response=response)

    def _fail(self, failure: Failure) -> bytes:
        self._over = True
        kind = TYPES[failure.kind]
        number, code = self._numbers.next, failure.code or failure.kind.value
        return shapes.error_event(number, code, failure.message, kind, failure.param)

    def _start(self, event: Start) -> bytes:
        if self._head:
            return b""
        self._head = answers.head(event.id, event.model, event.created, self._context)
        told = [self._numbers.event(f"response.{kind}", response=self._head) for kind in ("created", "in_progress")]
        return b"".join(told)

    # parts

    def _item(self, kind: str) -> _Item:
        index, self._items = self._items, self._items + 1
        return _Item(answers.item_id(kind, self._context, index), index)

    def _added(self, item: _Item, value: dict[str, Any]) -> bytes:
        return self._numbers.event("response.output_item.added", output_index=item.index, item=value)

    def _done(self, item: _Item, value: dict[str, Any]) -> bytes:
        self._output[item.index] = value
        return self._numbers.event("response.output_item.done", output_index=item.index, item=value)

    def _begin(self, event: PartStart) -> bytes:
        part = event.part
        self._parts.append(part)
        if isinstance(part, Text | Refusal):
            return self._begin_words(event.number, part)
        out = self._leave_message()
        if isinstance(part, ToolCall | Reasoning):
            return out + self._begin_item(event.number, part)
        value = answers.write_item(part, self._context, self._items, self._losses)
        if value is None:
            return out
        item = self._item(shapes.IMAGE_CALL)
        return out + self._added(item, value) + self._done(item, value)

    def _begin_words(self, number: int, part: Text | Refusal) -> bytes:
        """A part of a message: of the one before it, where nothing else came between."""
        out = b""
        item = self._message
        if item is None:
            item = self._message = self._item(shapes.MESSAGE)
            out += self._added(item, shapes.message(item.id, "in_progress", []))
        open_ = self._open[number] = _Open(replace(part, text=""), item, len(item.content))
        item.content.append(_words(open_.part, ""))
        item.open += 1
        out += self._event(open_, "response.content_part.added", part=_words(part, ""))
        return out + self._more(open_, PartDelta(0, number, part.text))

    def _begin_item(self, number: int, part: ToolCall | Reasoning) -> bytes:
        if isinstance(part, Reasoning):
            kind, first = shapes.REASONING, PartDelta(0, number, part.text, part.signature, part.sealed)
            shell: Part = replace(part, text="", signature="", sealed="")
        else:
            kind = shapes.CUSTOM_CALL if part.custom else shapes.CALL
            first = PartDelta(0, number, part.arguments, part.signature)
            shell = replace(part, arguments="", signature="")
        item = self._item(kind)
        open_ = self._open[number] = _Open(shell, item, 0)
        return self._added(item, self._written(open_, "in_progress")) + self._more(open_, first)

    def _written(self, open_: _Open, status: str) -> dict[str, Any]:
        """An item of its own, with what has been said of it."""
        part = open_.whole()
        if isinstance(part, Reasoning):
            sealed = seals.seal(part)
            return shapes.reasoning(open_.item.id, status, part.text, sealed, summary=part.summary)
        make = shapes.custom_call if part.custom else shapes.call
        return make(open_.item.id, status, part.id, part.name, part.arguments)

    def _more(self, open_: _Open, event: PartDelta) -> bytes:
        open_.signature.append(event.signature)
        open_.sealed.append(event.sealed)
        if not event.text:
            return b""
        out = b""
        if isinstance(open_.part, Reasoning) and not open_.said:
            summary = open_.part.summary
            kind = "response.reasoning_summary_part.added" if summary else "response.content_part.added"
            out = self._event(open_, kind, part=_thought(open_.part, ""))
        open_.said.append(event.text)
        more: dict[str, Any] = {"logprobs": []} if isinstance(open_.part, Text) else {}
        return out + self._event(open_, f"{_stem(open_.part)}.delta", delta=event.text, **more)

    def _event(self, open_: _Open, kind: str, **members: Any) -> bytes:
        """An event of a part, with its place."""
        place = {"item_id": open_.item.id, "output_index": open_.item.index}
        if isinstance(open_.part, Reasoning) and open_.part.summary:
            place["summary_index"] = 0
        elif not isinstance(open_.part, ToolCall):
            place["content_index"] = open_.place
        return self._numbers.event(kind, **place, **members)

    def _end(self, number: int) -> bytes:
        open_ = self._open.pop(number, None)
        if open_ is None:
            return b""
        part = open_.whole()
        if isinstance(part, Text | Refusal):
            return self._end_words(open_, part)
        stem = _stem(part)
        if isinstance(part, Reasoning):
            out = b""
            if part.text:
                kind = "response.reasoning_summary_part.done" if part.summary else "response.content_part.done"
                out = self._event(open_, f"{stem}.done", text=part.text)
                out += self._event(open_, kind, part=_thought(part, part.text))
            return out + self._done(open_.item, self._written(open_, "completed"))
        said = {"input": part.arguments} if part.custom else {"name": part.name, "arguments": part.arguments}
        out = self._event(open_, f"{stem}.done", **said) + self._done(open_.item, self._written(open_, "completed"))
        return out + self._signed(part)

    def _signed(self, part: ToolCall) -> bytes:
        """What proves a call to its maker, as an item of its own."""
        if not part.signature:
            return b""
        item = self._item(shapes.REASONING)
        value = answers.signed_call(item.id, part)
        return self._added(item, value) + self._done(item, value)

    def _end_words(self, open_: _Open, part: Text | Refusal) -> bytes:
        said = open_.item.content[open_.place] = _words(part, part.text)
        refusal = isinstance(part, Refusal)
        more: dict[str, Any] = {"refusal": part.text} if refusal else {"text": part.text, "logprobs": []}
        out = self._event(open_, f"{_stem(part)}.done", **more)
        out += self._event(open_, "response.content_part.done", part=said)
        open_.item.open -= 1
        return out + self._settle(open_.item)

    def _settle(self, item: _Item) -> bytes:
        """A message ends when all its parts have and no other will follow."""
        if item.open or item is self._message:
            return b""
        return self._done(item, shapes.message(item.id, "completed", item.content))

    def _leave_message(self) -> bytes:
        item, self._message = self._message, None
        return self._settle(item) if item else b""

    def _finish(self, event: Finished) -> bytes:
        out = b"".join([self._end(number) for number in sorted(self._open)])
        self._finished = event.finish
        return out + self._leave_message()


def _words(part: Part, text: str) -> dict[str, Any]:
    return shapes.refusal_part(text) if isinstance(part, Refusal) else shapes.text_part(text)


def _thought(part: Reasoning, text: str) -> dict[str, Any]:
    return {"type": "summary_text" if part.summary else "reasoning_text", "text": text}


def _stem(part: Part) -> str:
    """What the events are called that tell of a part."""
    if isinstance(part, ToolCall):
        return events.INPUT if part.custom else events.ARGUMENTS
    if isinstance(part, Reasoning):
        return events.SUMMARY if part.summary else events.THOUGHT
    return events.REFUSAL if isinstance(part, Refusal) else events.TEXT
