"""Texts with marked parts replaced, for whoever says where those are and not only what."""

from __future__ import annotations

from collections.abc import Iterable

from extproc.errors import DecodeError
from extproc.framing.jsontext import parse


def marked(text: str, marks: Iterable[tuple[int, int, str]]) -> str:
    """A text with the marked parts replaced; those that overlap as one, by the replacement of the first."""
    parts: list[str] = []
    at = 0
    for start, end, replacement in sorted(marks, key=lambda mark: (mark[0], -mark[1])):
        end = min(end, len(text))
        if start >= at and start < end:
            parts += (text[at:start], replacement)
        at = max(at, end)
    return "".join([*parts, text[at:]])


def readable(text: str) -> bool:
    """Whether a text is JSON."""
    try:
        parse(text.encode())
    except DecodeError:
        return False
    return True
