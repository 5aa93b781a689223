"""Encoded text: views that show what base64 and hexadecimal runs, or invisible tag characters, say, and nothing else.

Owns: how such a run is recognised at its start, where it ends, and what of it is readable. A run is taken as a whole, so
that all of it is redacted; one of more than ``RUN_MAX`` characters is read in pieces of that length, one after the other.
What is decoded is folded, unescaped and decoded once more. Sources: RFC 4648, the Unicode block Tags.
"""

from __future__ import annotations

import binascii
import re
from typing import Final

from extproc.policy.escapes import Unescape
from extproc.policy.folding import fold_all
from extproc.policy.pattern import MAX_WIDTH, parse
from extproc.policy.rules import Presence, flat
from extproc.policy.segments import Segment, gone
from extproc.policy.spelling import BARRIER

RUN_MAX: Final = MAX_WIDTH
_DEPTH: Final = 2
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def _sextets(wanted: int, mask: int, extra: str = "") -> str:
    """A class of the base64 characters whose value has these bits."""
    chars = "".join(char for value, char in enumerate(_ALPHABET) if value & mask == wanted)
    return f"[{re.escape(chars + extra)}]"


# The first bits of the bytes of readable ASCII are 0; a group of four characters is three bytes of it. The first byte is
# printable or a line break or tab, of the others this is all that is asked.
_FIRST: Final = "[CDI-Za-f]"
_SECOND: Final = _sextets(0, 8)
_THIRD: Final = _sextets(0, 2)
_ANY: Final = r"[A-Za-z0-9+/_\-]"
_GROUP: Final = _FIRST + _SECOND + _THIRD + _ANY
_REST: Final = rf"(?:{_FIRST}[AQgw]|{_FIRST}{_SECOND}{_sextets(0, 3)})"  # of one or two bytes
_BEYOND: Final = rf"[x-z0-8]{_sextets(8, 12)}{_ANY}{{10}}"  # UTF-8 of something else than ASCII
_SHORT: Final = rf"(?:{_GROUP}){{1,3}}(?:{_REST})?={{0,2}}[^A-Za-z0-9+/_=\-]"
_LINE: Final = rf"(?:{_GROUP}){{1,3}}{_ANY}{{1,3}}\r?\n"  # wrapped anywhere
_BASE64: Final = rf"(?:{_GROUP}){{4}}|{_SHORT}|{_LINE}|{_BEYOND}"
_SEPARATOR: Final = r"[ :,;\-]{0,2}(?:0[xX])?"
_BYTE: Final = rf"(?:[2-7][0-9A-Fa-f]|0[9ADad]|[C-Fc-f][0-9A-Fa-f](?:{_SEPARATOR}[89ABab][0-9A-Fa-f]){{1,3}})"
_HEX: Final = rf"(?:0[xX])?{_BYTE}{_SEPARATOR}{_BYTE}{_SEPARATOR}{_BYTE}"
_START: Final = parse(rf"[^A-Za-z0-9+/_\-](?:{_HEX}|{_BASE64})")
_SEEK: Final = Presence(_START.source)
_BEGUN: Final = Presence(rf"(?:{_START.prefix})\z")
_LIKELY: Final = Presence(rf"(?:{_START.source})|(?:{_START.prefix})\z")
_HEX_START: Final = re.compile(_HEX)
_HEX_WORD: Final = rf"(?:0[xX])?{_BYTE}+(?![0-9A-Za-z])"
_HEX_RUN: Final = re.compile(rf"{_HEX_WORD}(?:[ :,;\-]{{1,2}}{_HEX_WORD})*")
"""Whole words of it, every byte of which may be text: the word after it ("before") is none."""
_BASE64_RUN: Final = re.compile(
    rf"{_ANY}+(?:\r?\n[ \t]{{0,4}}(?:(?={_ANY}*(?:[0-9+]|[a-z][A-Z])){_ANY}{{2,}}|{_ANY}{{2,}}(?==|[\r\n]|\Z)))*={{0,2}}"
)
"""It goes on in the next line if nothing else stands there, or what does looks less like a word than like base64."""
_OPEN: Final = {
    _HEX_RUN: re.compile(r"[ :,;\-]{0,2}(?:0[xX])?[0-9A-Fa-f]*\Z|[0-9A-Fa-fxX :,;\-]{0,24}\Z"),
    _BASE64_RUN: re.compile(rf"={{0,2}}(?:\r?\n?[ \t]{{0,4}}(?:{_ANY}*={{0,2}}\r?)?)\Z"),
}
"""What may stand behind a run at the end of a text that may yet become part of it."""
_SLACK: Final = 8
_UNREADABLE: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffd]")
_STRIP: Final = re.compile(r"0[xX]|[^0-9A-Fa-f]")


class Decode:
    """Shows what encoded runs say (see ``lenses.Stage``)."""

    __slots__ = ("_held", "_run")

    def __init__(self) -> None:
        self._held = "\n"  # a character of left context, and what is not decided
        self._run: re.Pattern[str] | None = None  # a run longer than a piece is under way

    @property
    def waiting(self) -> bool:
        """Whether some of the text is held until more of it is known."""
        return len(self._held) > 1 or self._run is not None

    def skim(self, text: str) -> bool:
        """See ``lenses.Stage``: no run begins in it, and nothing that may become one."""
        if self._run or len(self._held) > 1 or 0 <= _LIKELY.span(flat(self._held + text), 0)[0] < len(text):
            return False
        self._held = text[-1]
        return True

    def show(self, text: str, *, closed: bool) -> tuple[str, Segment | None]:
        """What the runs that are decided now say."""
        text = self._held + text
        length = len(text)
        if closed:
            text += "\n"
        raw = flat(text)
        sources: list[int] = []
        parts: list[str] = []
        at = 1
        while at < length:
            start, run = (at, self._run) if self._run else _seek(text, raw, at)
            if run is None:
                start = length if closed else self._begun(raw, at)
            if start > at:
                sources.append(start - at)
                parts.append("")
                at = start
            if run is None:
                break
            going_on = self._run is not None
            end = self._end(run, text, at, length, closed=closed)
            if end < 0:
                break
            if end == at and not going_on:  # it only began like one
                sources.append(1)
                parts.append("")
                at += 1
                continue
            sources.append(end - at)
            parts.append(self._read(text[at:end], run, going_on=going_on))
            at = end
        self._held = text[at - 1 : length]
        if len(parts) == 1 and not parts[0]:
            return "", gone(sources[0])
        return "".join(parts), Segment(sources, map(len, parts), units=True)

    def _read(self, run_text: str, run: re.Pattern[str], *, going_on: bool) -> str:
        """What a run or a piece of one says. Pieces stand next to each other; around a run there are barriers."""
        goes_on = self._run is not None
        depth = 1 if going_on or goes_on else _DEPTH
        said = decode(run_text, hexadecimal=run is _HEX_RUN, depth=depth)
        return ("" if going_on else BARRIER) + said + ("" if goes_on else BARRIER)

    def _end(self, run: re.Pattern[str], text: str, at: int, length: int, *, closed: bool) -> int:
        """Where the piece of a run that begins here ends; -1: not decided yet."""
        most = at + RUN_MAX
        found = run.match(text, at, min(most, len(text)))
        end = min(found.end(), length) if found else at
        if most <= length and end > most - _SLACK:
            self._run = run
            return end if run is _HEX_RUN else end - (end - at - sum(map(text[at:end].count, "=\r\n\t "))) % 4
        if most > length and not closed and _OPEN[run].match(text, end):
            return -1
        self._run = None
        return end

    @staticmethod
    def _begun(raw: bytes, at: int) -> int:
        start, _ = _BEGUN.span(raw, at - 1)
        return len(raw) if start < 0 else min(start + 1, len(raw))


def _seek(text: str, raw: bytes, at: int) -> tuple[int, re.Pattern[str] | None]:
    start, _ = _SEEK.span(raw, at - 1)
    if start < 0:
        return at, None
    return start + 1, _HEX_RUN if _HEX_START.match(text, start + 1) else _BASE64_RUN


def decode(run: str, *, hexadecimal: bool, depth: int = _DEPTH) -> str:
    """What a run says, and what the runs in it say; nothing if that is not text."""
    raw = _unhex(run) if hexadecimal else _unbase64(run)
    text = raw.decode(errors="replace")
    if not text.isprintable() and len(_UNREADABLE.findall(text)) > len(text) // 5:
        return ""
    for _ in range(2):
        text = Unescape().show(fold_all(text), closed=True)[0]
    text = fold_all(text)
    return text + (BARRIER + _inner(text, depth - 1) if depth > 1 else "")


def _inner(text: str, depth: int) -> str:
    text = f"\n{text}\n"
    raw = flat(text)
    found: list[str] = []
    start, run = _seek(text, raw, 1)
    while run:
        match = run.match(text, start)
        end = match.end() if match else start + 1
        found.append(decode(text[start:end], hexadecimal=run is _HEX_RUN, depth=depth))
        start, run = _seek(text, raw, end)
    return BARRIER.join(found)


def _unhex(run: str) -> bytes:
    digits = _STRIP.sub("", run)
    return bytes.fromhex(digits[: len(digits) & ~1])


def _unbase64(run: str) -> bytes:
    text = re.sub(r"[\s=]", "", run).replace("-", "+").replace("_", "/")
    text = text[:-1] if len(text) % 4 == 1 else text
    return binascii.a2b_base64(text + "=" * (-len(text) % 4))


_TAGGED: Final = re.compile("([\U000e0020-\U000e007e\ufe00-\ufe0f\U000e0100-\U000e01ef]+)")


def _tags() -> dict[int, str]:
    """Tag characters, and the bytes that variation selectors can carry."""
    tags = {0xE0000 + code: chr(code) for code in range(0x20, 0x7F)}
    selectors = [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]
    return tags | {code: chr(value) if 0x20 <= value < 0x7F else BARRIER for value, code in enumerate(selectors)}


_TAGS: Final = _tags()


class Tags:
    """Shows the ASCII text that tag characters and variation selectors smuggle (see ``lenses.Stage``)."""

    __slots__ = ("_open",)
    waiting = False

    def __init__(self) -> None:
        self._open = False  # a run of them is under way

    def skim(self, text: str) -> bool:
        """See ``lenses.Stage``: there are none."""
        return not self._open and text.isascii()

    def show(self, text: str, *, closed: bool) -> tuple[str, Segment | None]:
        """What the invisible characters in the next piece say; nothing waits for more."""
        if not self._open and text.isascii():
            return "", gone(len(text))
        parts = _TAGGED.split(text)
        sources: list[int] = []
        showns: list[int] = []
        for index, part in enumerate(parts):
            if index % 2:
                sources += [1] * len(part)
                showns += [1] * len(part)
                parts[index] = part.translate(_TAGS)
                self._open = True
            elif part:
                parts[index] = BARRIER if self._open else ""
                sources += (1, len(part) - 1)
                showns += (len(parts[index]), 0)
                self._open = False
        return "".join(parts), Segment(sources, showns, units=True)
