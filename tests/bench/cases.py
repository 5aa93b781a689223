"""What is measured: the cases, and the bytes that load generator and fake provider agree on."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

import orjson

KIB, MIB = 1 << 10, 1 << 20
_WORDS = (
    "Please tell me how the weather will be tomorrow in the mountains north of the lake. ",
    "Our customer writes that the parcel arrived late, and asks what we can do about it. ",
    "Summarise the minutes of the meeting in five sentences, and keep the names of all speakers. ",
)
END = b"end of the prompt"
"""What every prompt ends with: the fake provider answers 400 where it is missing."""

ANSWER = "The quick brown fox jumps over the lazy dog, and then it rests for a while in the shade. " * 5
"""The whole text of an answer that is not streamed."""

# A time is written as letters, so that no guard takes it for a number, and none of them is a vowel, so that no word
# list finds a word in it.
_DIGITS, _LETTERS = b"0123456789abcdef", b"bcdfghjklmnpqrst"
_TO, _FROM = bytes.maketrans(_DIGITS, _LETTERS), bytes.maketrans(_LETTERS, _DIGITS)
MARK = re.compile(rb"zz([%s]{15})zz" % _LETTERS)
"""What the text of every event of a stream carries: the nanosecond of CLOCK_MONOTONIC at which it was sent."""
MARK_LENGTH = 19


def stamp(now: int) -> bytes:
    """A mark for this nanosecond."""
    return b"zz%szz" % (b"%015x" % now).translate(_TO)


def stamped(letters: bytes) -> int:
    """The nanosecond a mark's letters mean."""
    return int(letters.translate(_FROM), 16)


@dataclass(frozen=True)
class Case:
    """So many connections that each ask again once they have been answered.

    ``events`` 0 asks for a whole answer; otherwise for a stream of as many events, ``pace`` milliseconds apart (0: as
    fast as it goes).
    """

    name: str
    title: str
    connections: int
    prompt: int = KIB
    events: int = 0
    pace: int = 0

    def payload(self) -> bytes:
        """The request, as bytes on the connection."""
        text = "".join(_WORDS)
        text = (text * (self.prompt // len(text) + 1))[: self.prompt - len(END)] + END.decode()
        value: dict[str, Any] = {"model": "bench"}
        if self.events:
            value |= {"stream": True, "max_tokens": self.events, "seed": self.pace}
        body = orjson.dumps({**value, "messages": [{"role": "user", "content": text}]})
        head = "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
        return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body

    def shortened(self) -> Case:
        """The same as a mere proof that it works: few events, few connections."""
        few = {"events": min(self.events, 10), "connections": min(self.connections, 100)}
        return Case(**asdict(self) | few | {"title": f"{self.title}, shortened"})


CASES = (
    Case("json-1", "1 connection, 1 KB", 1),
    Case("json-32", "32 connections, 1 KB", 32),
    Case("json-128", "128 connections, 1 KB", 128),
    Case("stream-32", "32 streams of 100 events, unpaced", 32, events=100),
    Case("paced-32", "32 streams of 100 events, one every 20 ms", 32, events=100, pace=20),
    Case("paced-256", "256 streams of 100 events, one every 20 ms", 256, events=100, pace=20),
    Case("paced-1000", "1,000 streams of 100 events, one every 20 ms", 1000, events=100, pace=20),
    Case("prompt-1k", "prompts of 1 KiB, 4 connections", 4),
    Case("prompt-64k", "prompts of 64 KiB, 4 connections", 4, prompt=64 * KIB),
    Case("prompt-1m", "prompts of 1 MiB, 4 connections", 4, prompt=MIB),
    Case("prompt-10m", "prompts of 10 MiB, 4 connections", 4, prompt=10 * MIB),
)
