"""Turns of a conversation as APIs want them that take the operator's words apart from it, and the user's turn first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from extproc.chat.losses import Losses
from extproc.chat.parts import Message, Text
from extproc.chat.request import Request
from extproc.errors import Unrepresentable

OPENING: Final = "(The conversation begins with the assistant.)"
"""Said for the user where nobody has: these APIs take no conversation without a user's turn in front."""


def instructions(request: Request, losses: Losses) -> Iterator[Text]:
    """The operator's words: all of them in front, wherever they stood.

    Raises:
        Unrepresentable: they are not all text.
    """
    begun = False
    for message in request.messages:
        if message.role != "system":
            begun = True
            continue
        if begun:
            losses.add(message.where, "moved to the front")
        for part in message.parts:
            if not isinstance(part, Text):
                raise Unrepresentable(part.where, "anything but text in a system message")
            yield part


def spoken(request: Request, losses: Losses) -> Iterator[Message]:
    """All other messages. Names of those who speak are lost."""
    for message in request.messages:
        if message.name:
            losses.add((*message.where, "name"), "no such setting")
        if message.role != "system":
            yield message


def opened(request: Request, losses: Losses) -> None:
    """Note that a user's turn was put in front."""
    losses.add(request.messages[0].where if request.messages else ("messages",), "a user's turn was put in front")
