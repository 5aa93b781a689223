"""Transcripts that are no JSON: plain text and subtitles (SRT, WebVTT), as a value that policies see, and back.

The exchange inspects ``opened(body)`` like a JSON answer and sends ``closed`` of what is left. What is said over two
subtitles is seen as well: it stands once more, without times, beside the text.

Sources: OpenAI API reference, "Create transcription" (``response_format``); W3C WebVTT, sections 4.1 and 4.2.
"""

from __future__ import annotations

import re
from typing import Any, Final

from extproc.errors import DecodeError

MEDIA: Final = frozenset({"text/plain", "text/vtt", "text/srt", "application/x-subrip"})
"""Content types of such answers."""

_TIME: Final = r"(?:\d{1,4}:)?\d{1,2}:\d{2}[.,]\d{3}"
_TIMING: Final = re.compile(rf"({_TIME})[ \t]*+-->[ \t]*+({_TIME}).*", re.ASCII)
_HEADER: Final = "WEBVTT"


def opened(body: bytes) -> dict[str, str]:
    """The value of such an answer: its ``text``, and, of subtitles, ``cues``: all that is said, on one line.

    Raises:
        DecodeError: it is not UTF-8.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise DecodeError("the transcript is not UTF-8") from None
    return {"text": text, "cues": _said(text)} if _timings(text) else {"text": text}


def closed(value: dict[str, Any]) -> bytes:
    """The answer after the policies. Where they changed what no single subtitle shows, it is one subtitle."""
    text, cues = value["text"], value.get("cues")
    if not isinstance(cues, str) or _said(text) == cues:
        return str(text).encode()
    times = _timings(text)
    whole = f"1\n{times[0][1]} --> {times[-1][2]}\n{cues}\n" if times else f"{cues}\n"
    return (f"{_HEADER}\n\n{whole}" if text.startswith(_HEADER) else whole).encode()


def _timings(text: str) -> list[re.Match[str]]:
    return [found for line in text.splitlines() if (found := _TIMING.fullmatch(line.strip()))]


def _said(text: str) -> str:
    """The lines of all subtitles; without the file's header, times, and the numbers before them."""
    said: list[str] = []
    for line in map(str.strip, text.removeprefix(_HEADER).splitlines()):
        if not _TIMING.fullmatch(line):
            said.append(line)
        elif said and re.fullmatch(r"\d+", said[-1], re.ASCII):
            said.pop()
    return " ".join(filter(None, said))
