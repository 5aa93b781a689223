"""What the fake providers say, whatever API they speak: chosen by the last ``scene-NAME`` in a request.

Every text holds an e-mail address, cut over events where it streams: clients must get it redacted.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

MAIL, OTHER_MAIL, RESULT_MAIL = "jane.doe@example.com", "john.roe@example.com", "jim.poe@example.com"
"""In answers, in prompts, and in what tools gave."""
INPUT, CACHED, OUTPUT, REASONING = 11, 3, 7, 4
"""Tokens: of all input, of it read from a cache; of all output, of it reasoning where the scene has some."""
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "to": {"type": "string"}},
    "required": ["city", "to"],
    "additionalProperties": False,
}
_NAMED = re.compile(rb"scene-([a-z]+)")


@dataclass(frozen=True)
class Call:
    """A call of a tool; its arguments are JSON source, in the pieces it streams in."""

    id: str
    name: str
    pieces: tuple[str, ...]

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)

    @property
    def value(self) -> Any:
        return json.loads(self.arguments)


@dataclass(frozen=True)
class Scene:
    """One answer."""

    name: str
    pieces: tuple[str, ...] = ()
    thoughts: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()

    @cached_property
    def text(self) -> str:
        return "".join(self.pieces)

    @cached_property
    def thought(self) -> str:
        return "".join(self.thoughts)

    @property
    def reasoning(self) -> int:
        return REASONING if self.thoughts else 0


def _weather(number: int, city: str) -> Call:
    return Call(f"call_{number}x", "get_weather", ('{"city": "', f'{city}", "to": "jane.', "doe@exam", 'ple.com"}'))


_LONG_TEXT = " ".join(f"{number}. {'Go on.' if number % 5 else f'Ask {MAIL}, then'}" for number in range(150))
_LONG = tuple(_LONG_TEXT[at : at + 7] for at in range(0, len(_LONG_TEXT), 7))
SCENES = {
    each.name: each
    for each in (
        Scene("text", ("Write to jane", ".doe@exam", "ple.com", " today. ", "Grüße, ", "\U0001f600")),
        Scene("tool", (), (), (_weather(1, "Paris"),)),
        Scene("tools", ("Two ", "cities."), (), (_weather(1, "Paris"), _weather(2, "Rome"))),
        Scene("result", ("It rains; tell jane.doe", "@example.com", ".")),
        Scene("thinking", ("It is jane.doe@", "example.com."), ("Who? ", "jane.do", "e@example.com", ", I think.")),
        Scene("structured", ('{"city": "Par', 'is", "to": "jane.doe', '@example.com"', "}")),
        Scene("long", _LONG),
        Scene("ponder", (), ("I won", "der why."), (_weather(1, "Paris"),)),
    )
}  # fmt: skip
PLAIN = tuple(name for name in SCENES if name != "ponder")
"""Scenes that are asked for by themselves; the other comes before what a tool gave."""
ERRORS = {"limited": 429, "wrong": 400, "broken": 500}
"""Scenes that are errors."""
COMPLAINT = f"not so, {MAIL}"


def name_of(body: bytes) -> str:
    """The name of the scene that a request asks for."""
    found = _NAMED.findall(body)
    return found[-1].decode() if found else "text"
