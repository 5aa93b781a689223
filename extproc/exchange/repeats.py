"""Events that say what an event before them said, but for one text: understood without being parsed again.

Nearly every event of a stream is the one before with another word in it. What stands around the word is then known: the
bytes before it and after it are the same, so (JSON having one reading) the value is the same but for that one string.
The first event of a kind is parsed, and parsed once more with a probe in the word's place: only if the probe comes out as
the one text of the event is the kind remembered.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from extproc.errors import DecodeError
from extproc.formats.base import Delta, Format, Piece
from extproc.framing.jsontext import parse

_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_PROBE: Final = "\u0001 a probe \u0001"
_ATTEMPTS: Final = 8
"""Kinds remembered or refused for one stream: one that changes with every event is not worth looking at."""

_Kind = tuple[bytes, bytes]


class Repeats:
    """The kinds of events one stream has shown."""

    __slots__ = ("_format", "_kinds", "_left")

    def __init__(self, format_: Format) -> None:
        self._format = format_
        self._kinds: dict[_Kind, Delta] = {}
        self._left = _ATTEMPTS if format_.streamed_text else 0

    def find(self, data: bytes) -> Delta | None:
        """What an event of a known kind says; None where it has to be parsed."""
        cut = self._cut(data) if self._kinds else None
        known = self._kinds.get((cut[0], cut[2])) if cut else None
        if cut is None or known is None:
            return None
        try:
            text = orjson.loads(cut[1])
        except orjson.JSONDecodeError:
            return None  # whoever parses the whole says what is wrong with it
        return _with(known, text) if text else None

    def learn(self, data: bytes, value: Any, delta: Delta) -> None:
        """Look whether an event that was parsed is of a kind that can be remembered."""
        if not self._left or len(delta.pieces) != 1 or self._format.usage(value) is not None:
            return
        cut = self._cut(data)
        if cut is None:
            return
        self._left -= 1
        before, _, after = cut
        probe = self._probed(before + orjson.dumps(_PROBE) + after)
        if probe and _with(delta, _PROBE) == probe:
            self._kinds[before, after] = delta

    def _cut(self, data: bytes) -> tuple[bytes, bytes, bytes] | None:
        """An event's bytes before its text, the text as a JSON string, and those after it, both without random padding."""
        at = data.find(self._format.streamed_text)
        found = _STRING.match(data, at + len(self._format.streamed_text)) if at >= 0 else None
        if found is None:
            return None
        strip = self._format.without_padding
        return strip(data[: found.start()]), found[0], strip(data[found.end() :])

    def _probed(self, data: bytes) -> Delta | None:
        try:
            value = parse(data)
            delta = self._format.delta(value)
        except DecodeError:
            return None
        if len(delta.pieces) != 1 or self._format.echoes(value, {delta.pieces[0].path}):
            return None
        if any(each.name for each in self._format.signed(value)):
            return None
        return delta


def _with(delta: Delta, text: str) -> Delta:
    """The same event with another text."""
    piece = delta.pieces[0]
    said = Piece(piece.path, piece.scope, text, piece.track, piece.joined, piece.json)
    return Delta([said], delta.lane, delta.after, delta.telling, delta.final, delta.closes)
