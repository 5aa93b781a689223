"""Folding: every character shown as the plain one it stands for or looks like; invisible ones not at all.

Owns: what is invisible, what a character is folded to, and the fast ways for text that needs little of it. Folding looks
at one character at a time, so it does not depend on how a text is cut. Case stays: rules decide what it means to them.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from extproc.policy.lookalikes import LOOKALIKES
from extproc.policy.segments import Segment

_MARKS: Final = (
    (0x0300, 0x036F), (0x0483, 0x0489), (0x0591, 0x05BD), (0x064B, 0x065F), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF),
    (0x20D0, 0x20FF), (0xFE20, 0xFE2F),
)  # fmt: skip
"""Combining marks that decorate letters. Those of scripts that need them to spell (Indic, Thai, Kana) are not here."""
_INVISIBLE: Final = (
    (0x00, 0x08), (0x0E, 0x1B), (0x7F, 0x84), (0x86, 0x9F), (0xAD, 0xAD), (0x115F, 0x1160), (0x17B4, 0x17B5),
    (0x180B, 0x180F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xE0000, 0xE0FFF),
)  # fmt: skip
"""Besides format characters (category Cf): controls, fillers, variation selectors, tags."""
_BRAILLE_BLANK: Final = "\u2800"


def _inside(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(low <= code <= high for low, high in ranges)


def _folded(char: str) -> str:
    """What one character is shown as."""
    code = ord(char)
    if _inside(code, _INVISIBLE) or unicodedata.category(char) == "Cf":
        return ""
    if char in LOOKALIKES:
        return LOOKALIKES[char]
    if char == _BRAILLE_BLANK:
        return " "
    plain = unicodedata.normalize("NFKD", char)
    bare = unicodedata.normalize("NFC", "".join(each for each in plain if not _inside(ord(each), _MARKS)))
    if bare == char:
        return char
    return "".join(LOOKALIKES.get(each, "" if _inside(ord(each), _INVISIBLE) else each) for each in bare)


def _class(chars: list[int]) -> str:
    """The body of a character class, as ranges."""
    ranges: list[list[int]] = []
    for code in chars:
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in ranges)


def _every() -> list[int]:
    ranges = ((0x80, 0x33FF), (0xA490, 0xABFF), (0xF900, 0x103FF), (0x10780, 0x107BF), (0x110BD, 0x110CD),
              (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0x1D400, 0x1D7FF), (0x1EE00, 0x1EEFF), (0x1F100, 0x1F2FF),
              (0x1FBF0, 0x1FBF9), (0x2F800, 0x2FA1F), (0xE0000, 0xE01FF))  # fmt: skip
    return [code for low, high in ranges for code in range(low, high + 1)]


def _changes() -> dict[int, str]:
    chars = [*range(0x20), 0x7F, *_every()]
    return {code: folded for code in chars if (folded := _folded(chr(code))) != chr(code)}


_CHANGES: Final = _changes()
_FOLDED: Final = {chr(code): folded for code, folded in _CHANGES.items()}
_GONE: Final = [code for code, folded in _CHANGES.items() if not folded]
_GONE_CLASS: Final = _class([*_GONE, *range(0xE0200, 0xE1000)])
_GROWN_CLASS: Final = _class([code for code, folded in _CHANGES.items() if len(folded) > 1])
_RESIZING: Final = re.compile(f"[{_GONE_CLASS}{_GROWN_CLASS}]")
_RESIZED: Final = re.compile(f"([{_GONE_CLASS}]+|[{_GROWN_CLASS}])")
_LATIN_1: Final = bytes(ord(_CHANGES.get(code, chr(code))[:1] or "\0") for code in range(256))
_LATIN_1_KEPT: Final = bytes(code for code in range(256) if len(_CHANGES.get(code, " ")) == 1)
_ASCII_CONTROLS: Final = bytes(code for code in _GONE if code < 0x80)


def plain(text: str) -> bool:
    """Whether folding changes nothing in a text, at a glance; False may still mean that."""
    return text.isascii() and (text.isprintable() or not _controls(text))


def _controls(text: str) -> bool:
    return len(text.encode().translate(None, _ASCII_CONTROLS)) != len(text)


class Fold:
    """The view (see ``lenses.Stage``)."""

    __slots__ = ()
    waiting = False

    def show(self, text: str, *, closed: bool) -> tuple[str, Segment | None]:
        """The folded text; nothing waits for more."""
        if plain(text):
            return text, None
        return _fold_latin(text) or _fold_any(text)


def _fold_latin(text: str) -> tuple[str, Segment | None] | None:
    try:
        raw = text.encode("latin-1")
    except UnicodeEncodeError:
        return None
    if raw.translate(None, _LATIN_1_KEPT):
        return None  # something in it disappears or grows
    return raw.translate(_LATIN_1).decode("latin-1"), None


def _fold_any(text: str) -> tuple[str, Segment | None]:
    if not _RESIZING.search(text):
        return text.translate(_CHANGES), None
    parts = _RESIZED.split(text)  # the odd ones change their length
    sources = list(map(len, parts))
    parts[::2] = [part if part.isascii() else part.translate(_CHANGES) for part in parts[::2]]
    parts[1::2] = [_FOLDED.get(part, "") for part in parts[1::2]]
    return "".join(parts), Segment(sources, map(len, parts))


def fold_all(text: str) -> str:
    """A whole text folded."""
    return Fold().show(text, closed=True)[0]
