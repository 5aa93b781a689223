r"""Escapes shown as what they mean: HTML entities, ``\u0041`` ``\x41`` ``\u{41}`` ``\U00000041``, and ``%41``.

Owns: what counts as an escape, and how much of one may still be coming. One view undoes one level; two behind each other
undo two. What is no valid escape is shown as it stands. Sources: the HTML standard (character references), RFC 3986.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Final
from urllib.parse import unquote_to_bytes

from extproc.policy.rules import Presence
from extproc.policy.segments import Segment

_H: Final = "[0-9A-Fa-f]"
_C: Final = f"[89abAB]{_H}"  # the second half of a byte that continues a character in UTF-8


def _utf8(mark: str) -> str:
    """The bytes of one character, each written as ``mark`` and two hexadecimal digits."""
    after = f"{mark}{_C}"
    return (
        f"{mark}[2-7]{_H}|{mark}0[9AaDd]|{mark}[CcDd]{_H}{after}|{mark}[Ee]{_H}{after}{after}"
        f"|{mark}[Ff][0-4]{after}{after}{after}"
    )


_ESCAPE: Final = re.compile(
    rf"(&(?:\#[xX]0{{0,4}}{_H}{{1,6}};?|\#[0-9]{{1,10}};?|[A-Za-z][A-Za-z0-9]{{1,31}};)"
    rf"|\\u[dD][89abAB]{_H}{{2}}\\u[dD][c-fC-F]{_H}{{2}}|\\u{_H}{{4}}|\\u\{{{_H}{{1,6}}\}}|\\U{_H}{{8}}"
    rf"|{_utf8(chr(92) * 2 + 'x')}|\\x{_H}{{2}}|{_utf8('%')})"
)
_BEGUN: Final = re.compile(
    rf"(?:&(?:\#?|\#[xX]0{{0,4}}{_H}{{0,6}}|\#[0-9]{{1,10}}|[A-Za-z][A-Za-z0-9]{{0,31}})"
    rf"|\\(?:[uUx]?|u{_H}{{1,3}}|u[dD][89abAB]{_H}{{2}}(?:\\(?:u?|u[dD]|u[dD][c-fC-F]{_H}?))?|u\{{{_H}{{0,6}}|U{_H}{{1,7}}|x{_H})"
    rf"|\\x[c-fC-F]{_H}(?:\\(?:x?|x[89abAB]|x{_C}|x{_C}\\(?:x?|x[89abAB]|x{_C}|x{_C}\\(?:x?|x[89abAB]))))?"
    rf"|%(?:{_H}?|[c-fC-F]{_H}(?:%(?:[89abAB]?|{_C}|{_C}%(?:[89abAB]?|{_C}|{_C}%[89abAB]?)))?))\Z"
)
"""The beginning of an escape, or an escape that may yet become a longer one, at the end of a text."""
_WIDTH: Final = 36
"""No escape is longer."""
_WORTH: Final = Presence(
    rf"&#[0-9xX]|&[A-Za-z][A-Za-z0-9]{{1,31}};|\\u{_H}|\\u\{{|\\U0|\\x{_H}|%[2-7]{_H}|%[0cdefCDEF]{_H}"
)
_LONG: Final = 200


class Unescape:
    """The view (see ``lenses.Stage``)."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = ""

    @property
    def waiting(self) -> bool:
        """Whether some of the text is held until more of it is known."""
        return bool(self._held)

    def show(self, text: str, *, closed: bool) -> tuple[str, Segment | None]:
        """What the escapes in the next piece mean."""
        text = self._held + text
        self._held = ""
        if "&" not in text and "\\" not in text and "%" not in text:
            return text, None
        if not closed:
            text = self._hold(text)
        if len(text) > _LONG and not _WORTH.within(text):
            return text, None
        parts = _ESCAPE.split(text)  # the odd ones are escapes
        if len(parts) == 1:
            return text, None
        sources = list(map(len, parts))
        known: dict[str, str] = {each: _decode(each) for each in set(parts[1::2])}
        parts[1::2] = [known[each] for each in parts[1::2]]
        return "".join(parts), Segment(sources, map(len, parts))

    def _hold(self, text: str) -> str:
        """Keep back the beginning of an escape. It is none where an escape is that begins before it and is whole."""
        begun = _BEGUN.search(text, max(0, len(text) - _WIDTH))
        if not begun:
            return text
        self._held = text[begun.start() :]
        return text[: begun.start()]


def _decode(escape: str) -> str:
    mark = escape[0]
    if mark == "&":
        return unescape(escape)
    if mark == "%":
        return _bytes(unquote_to_bytes(escape), escape)
    if escape[1] == "x":
        return _bytes(bytes.fromhex(escape.replace("\\x", "")), escape)
    if len(escape) == 12 and escape[6] == "\\":
        pair = bytes.fromhex(escape[2:6] + escape[8:])
        return pair.decode("utf-16-be")
    code = int(escape[2:].strip("{}"), 16)
    return escape if code > 0x10FFFF or 0xD800 <= code < 0xE000 else chr(code)


def _bytes(raw: bytes, escape: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return chr(raw[0]) if len(raw) == 1 else escape
