"""What messages are made of.

A part is a value of its own; where a format puts it (a content list, a member of the message, an item of its own) is the
format's business. ``where`` is the place it was read from, for reports of what was lost; () where it was made here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from extproc.framing.jsontext import Path

Medium = Literal["image", "audio", "video", "file"]


@dataclass(frozen=True, slots=True)
class Cache:
    """The provider is asked to remember everything up to here. ``ttl`` as in ``5m`` or ``1h``; empty: the provider's own."""

    ttl: str = ""


@dataclass(slots=True)
class Text:
    """Words."""

    text: str
    cache: Cache | None = None
    where: Path = ()


@dataclass(slots=True)
class Refusal:
    """Words in which the model declines; formats that know no such part say them as text."""

    text: str
    where: Path = ()


@dataclass(slots=True)
class Reasoning:
    """What the model thought.

    ``signature`` proves to its maker that the text is unchanged; ``sealed`` is reasoning only its maker can read (redacted
    thinking, encrypted content). Both are worth something to ``maker`` alone: the family of models that made them
    (``claude``, ``gemini``, ``openai``); anybody else's are dropped. ``summary``: the text is a summary, not the thoughts.
    """

    text: str
    signature: str = ""
    sealed: str = ""
    maker: str = ""
    summary: bool = False
    id: str = ""
    where: Path = ()


@dataclass(slots=True)
class Media:
    """A picture, sound, film or file; exactly one of ``data`` (base64), ``url``, ``id`` (at the provider) or ``text`` is set.

    ``type`` is its media type (``image/png``), empty where it is not known; ``name`` a file's. ``detail`` as OpenAI's
    ``low``, ``high``, ``auto``.
    """

    medium: Medium
    data: str = ""
    url: str = ""
    id: str = ""
    text: str = ""
    type: str = ""
    name: str = ""
    detail: str = ""
    cache: Cache | None = None
    where: Path = ()


@dataclass(slots=True)
class ToolCall:
    """The model calls a tool. ``arguments`` is JSON source as the model wrote it, or plain text of a ``custom`` tool.

    ``signature`` and ``maker``: see ``Reasoning``; Gemini signs calls.
    """

    id: str
    name: str
    arguments: str = ""
    custom: bool = False
    signature: str = ""
    maker: str = ""
    cache: Cache | None = None
    where: Path = ()


@dataclass(slots=True)
class ToolResult:
    """What a tool gave. ``name`` is the tool's, where it is known: some formats match results by name."""

    id: str
    parts: list[Text | Media]
    name: str = ""
    failed: bool = False
    cache: Cache | None = None
    where: Path = ()


@dataclass(slots=True)
class Native:
    """A part only one format knows (a provider's own search results, code it ran); ``value`` is its JSON.

    The same format writes it back; to any other it cannot be said: ``Unrepresentable`` in a request, a loss in an answer.
    """

    format: str
    value: Any
    where: Path = ()


Part = Text | Refusal | Reasoning | Media | ToolCall | ToolResult | Native

Role = Literal["system", "user", "assistant"]


@dataclass(slots=True)
class Message:
    """One turn. Tool results are parts of a ``user`` message. System messages may stand anywhere."""

    role: Role
    parts: list[Part] = field(default_factory=list)
    name: str = ""
    where: Path = ()
