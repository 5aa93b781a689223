"""Streams and whole answers, each made from the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from extproc.chat.answer import (
    Answer,
    Choice,
    Failure,
    Finish,
    Finished,
    PartDelta,
    PartEnd,
    PartStart,
    Start,
    StreamEvent,
    Used,
)
from extproc.chat.parts import Part, Reasoning, Refusal, Text, ToolCall
from extproc.errors import DecodeError


def fold(events: Iterable[StreamEvent]) -> Answer | Failure:
    """The whole answer a stream comes to; its failure, where it ended in one.

    Raises:
        DecodeError: the events do not make an answer.
    """
    answer = Answer()
    choices: dict[int, Choice] = {}
    parts: dict[tuple[int, int], tuple[Part, list[PartDelta]]] = {}
    for event in events:
        if isinstance(event, Failure):
            return event
        if isinstance(event, Start):
            answer.id, answer.model, answer.created = event.id, event.model, event.created
        elif isinstance(event, PartStart):
            choices.setdefault(event.choice, Choice(event.choice))
            parts[event.choice, event.number] = event.part, []
        elif isinstance(event, PartDelta):
            if (event.choice, event.number) not in parts:
                raise DecodeError("a part goes on that never began")
            parts[event.choice, event.number][1].append(event)
        elif isinstance(event, Finished):
            choice = choices.setdefault(event.choice, Choice(event.choice))
            choice.finish, choice.stopped_by = event.finish, event.stopped_by
        elif isinstance(event, Used):
            answer.usage = event.usage
    for place in sorted(parts):
        choices[place[0]].parts.append(_whole(*parts[place]))
    answer.choices = [choices[index] for index in sorted(choices)]
    return answer


def _whole(part: Part, deltas: list[PartDelta]) -> Part:
    text = "".join([delta.text for delta in deltas])
    if isinstance(part, Text | Refusal):
        return replace(part, text=part.text + text)
    if isinstance(part, ToolCall):
        signature = "".join([delta.signature for delta in deltas])
        return replace(part, arguments=part.arguments + text, signature=part.signature + signature)
    if isinstance(part, Reasoning):
        return replace(
            part,
            text=part.text + text,
            signature=part.signature + "".join([delta.signature for delta in deltas]),
            sealed=part.sealed + "".join([delta.sealed for delta in deltas]),
        )
    return part


def unfold(answer: Answer) -> Iterator[StreamEvent]:
    """A stream that says a whole answer, each part in one piece."""
    yield Start(answer.id, answer.model, answer.created)
    for choice in answer.choices:
        for number, part in enumerate(choice.parts):
            shell, delta = _opened(part, choice.index, number)
            yield PartStart(choice.index, number, shell)
            if delta:
                yield delta
            yield PartEnd(choice.index, number)
        yield Finished(choice.index, choice.finish or Finish.STOP, choice.stopped_by)
    if answer.usage:
        yield Used(answer.usage)


def _opened(part: Part, choice: int, number: int) -> tuple[Part, PartDelta | None]:
    """A part as it begins, and what follows."""
    if isinstance(part, Text | Refusal):
        return replace(part, text=""), PartDelta(choice, number, part.text) if part.text else None
    if isinstance(part, ToolCall):
        said = part.arguments or part.signature
        delta = PartDelta(choice, number, part.arguments, part.signature) if said else None
        return replace(part, arguments="", signature=""), delta
    if isinstance(part, Reasoning):
        said = part.text or part.signature or part.sealed
        delta = PartDelta(choice, number, part.text, part.signature, part.sealed) if said else None
        return replace(part, text="", signature="", sealed=""), delta
    return part, None
