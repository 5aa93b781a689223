"""Texts that belong together although they stand apart: in a whole body, what is found over the border between two of them.

The texts of an answer that clients show as one are decided as one, as its stream would have been. Neighbouring parts of a
message of a request may be read as one or not, so they are decided one by one first, then what is found across their borders.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

from extproc.formats.base import Span
from extproc.framing.jsontext import Path

_REACH: Final = 4096
"""Characters on either side of a border that are looked at once more."""

Ops = Sequence[tuple[int, str | None]]
"""Lengths of what is kept (None) or replaced."""


def grouped(spans: Sequence[Span]) -> list[list[int]]:
    """The spans of an answer by their places: those of one track together, in the order in which each begins."""
    groups: list[list[int]] = []
    tracks: dict[Hashable, list[int]] = {}
    for index, span in enumerate(spans):
        if span.track is None:
            groups.append([index])
        elif (group := tracks.get(span.track)) is not None:
            group.append(index)
        else:
            tracks[span.track] = group = [index]
            groups.append(group)
    return groups


def spread(ops: Ops, texts: Sequence[str]) -> list[str]:
    """What becomes of texts that were decided as one; fewer of them, the last one unfinished, where they were ended.

    A replacement stands where what it replaces begins.
    """
    found: list[list[str]] = [[]]
    at = 0  # in the last of the texts begun
    for length, new in ops:
        while length:
            text = texts[len(found) - 1]
            if at == len(text):
                found.append([])
                at = 0
                continue
            count = min(length, len(text) - at)
            found[-1].append(text[at : at + count] if new is None else new)
            new = new and ""
            at += count
            length -= count
    while at == len(texts[len(found) - 1]) and len(found) < len(texts):  # nothing of the next was left
        found.append([])
        at = 0
    return ["".join(each) for each in found]


def runs(body: Any, spans: Sequence[Span]) -> Iterator[list[int]]:
    """Neighbouring parts of a message that are texts of the same scope, where there are several."""
    run: list[int] = []
    for index, span in enumerate(spans):
        if not _is_part(span):
            continue
        if run and not _adjacent(body, spans[run[-1]], span):
            if len(run) > 1:
                yield run
            run = []
        run.append(index)
    if len(run) > 1:
        yield run


def _is_part(span: Span) -> bool:
    path = span.path
    return len(path) > 2 and path[-1] == "text" and type(path[-2]) is int and not span.fixed


def _adjacent(body: Any, first: Span, second: Span) -> bool:
    """Whether nothing stands between two parts of one list but empty texts."""
    if first.path[:-2] != second.path[:-2] or first.scope is not second.scope:
        return False
    start, end = first.path[-2], second.path[-2]
    if type(start) is not int or type(end) is not int or start >= end:
        return False
    return start + 1 == end or all(_is_empty(part) for part in _at(body, first.path[:-2])[start + 1 : end])


def _is_empty(part: Any) -> bool:
    return isinstance(part, dict) and part.get("text") == ""


def _at(body: Any, path: Path) -> Any:
    for step in path:
        body = body[step]
    return body


@dataclass(slots=True)
class Seam:
    """A stretch of joined texts around borders that lie close together: where it begins, and the borders in it."""

    start: int
    text: str
    borders: list[int]


def seams(texts: Sequence[str]) -> list[Seam]:
    """The stretches of these texts, joined, in which something could reach over a border."""
    joined = "".join(texts)
    groups: list[list[int]] = []
    for border in accumulate(len(text) for text in texts[:-1]):
        if groups and border - groups[-1][-1] <= 2 * _REACH:
            groups[-1].append(border)
        else:
            groups.append([border])
    found: list[Seam] = []
    for borders in groups:
        start = max(0, borders[0] - _REACH)
        found.append(Seam(start, joined[start : borders[-1] + _REACH], [border - start for border in borders]))
    return found


def stitched(seams_: Iterable[tuple[Seam, Ops]], length: int) -> Ops:
    """Operations on stretches as operations on all ``length`` characters of the joined texts."""
    found: list[tuple[int, str | None]] = []
    at = 0
    for seam, ops in seams_:
        found += [(seam.start - at, None), *ops] if seam.start > at else ops
        at = seam.start + len(seam.text)
    return [*found, (length - at, None)] if length > at else found
