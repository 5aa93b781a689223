"""For policies written in Python (kind ``python``): what they are given and what they may say.

    from extproc.plugin import Block, Caller, Redact, Text

    class NoShouting:
        def inspect(self, texts: list[Text], caller: Caller) -> Block | None:
            return Block("shouting") if any(each.text.isupper() for each in texts) else None

A policy is a class. If it has a class ``Config`` (a pydantic model), it is made with one, read from the configuration's
``config``; else without arguments. It has one or more of these methods:

``inspect(texts, caller)`` sees texts: of a request before it goes on, of an answer before it goes out, of a streamed one
in windows. It runs in a thread and has a deadline. It says nothing (None), Block, Audit or Redact.

``request(request)`` sees the request as a whole, as JSON (``body``) and in the canonical form of all chat formats (``chat``).
It says nothing, Block, Reply or Patch.

``response(answer)`` sees an answer (of status 200) as a whole, as the client would get it: texts, and in the canonical form.
It says nothing, Block, Audit, Reply or Redact. A streamed answer it sees when the last of it has come (``streamed``). Then
nothing can be changed: Block, Reply and Redact stop what has not left, which is only so where the end of the stream waits
for the judgement of a service or of an ``inspect``; else what it says is recorded and nothing more.

The last two run where all requests are served, so they must be quick and must not wait for anything.

If the class has ``Override``, a list of words from the mildest to the strictest, a request may say one of them in the header
``x-llm-policy-NAME``. Without it the first counts, or the one that the configuration names (``override``). Only callers
under ``overrides: loosen`` may name a milder one than that. It is the ``override`` of ``caller`` and ``request``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from extproc.chat.answer import Answer as Chat
from extproc.policy.api import Phase, Scope
from extproc.policy.request import Request


class Text(NamedTuple):
    """A text and whose words it is."""

    scope: Scope
    text: str


@dataclass(frozen=True, slots=True, repr=False)
class Caller:
    """Whose texts they are. ``principal`` and ``claims`` are what Envoy has verified; empty if nothing."""

    operation: str = ""
    model: str = ""
    principal: str = ""
    claims: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    phase: Phase = Phase.REQUEST
    override: str = ""


class Answer:
    """What a model has said, as the client would get it. ``streamed``: it has left already, or most of it has."""

    __slots__ = ("_chat", "_texts", "caller", "streamed")

    def __init__(
        self,
        caller: Caller,
        texts: Callable[[], Sequence[Text]],
        chat: Callable[[], Chat | None],
        *,
        streamed: bool = False,
    ) -> None:
        self.caller, self.streamed = caller, streamed
        self._texts, self._chat = texts, chat

    @property
    def texts(self) -> Sequence[Text]:
        """Every text of it, in order; ``Mark.text`` counts these. Raises where a stream was too large to be kept."""
        return self._texts()

    @property
    def chat(self) -> Chat | None:
        """It in the canonical form (see ``extproc.chat.answer``), made when asked for; None for operations other than chat.

        Raises:
            DecodeError, LimitExceeded: it cannot be read, or was too large to be kept.
        """
        return self._chat()


@dataclass(frozen=True, slots=True)
class Block:
    """It goes no further. ``label``: what was found, one of a few words (for logs and metrics); ``why``: for the client."""

    label: str = "blocked"
    why: str = ""


@dataclass(frozen=True, slots=True)
class Audit:
    """It goes on; that something was found is recorded."""

    label: str = "found"


class Mark(NamedTuple):
    """Characters ``start`` to ``end`` of the ``text`` with this number, and what they are."""

    text: int
    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class Redact:
    """It goes on with these parts replaced, in policies with ``action: redact``; where that cannot be, it is blocked."""

    marks: Sequence[Mark]


@dataclass(frozen=True, slots=True)
class Reply:
    """The client is answered with this text."""

    text: str


@dataclass(frozen=True, slots=True)
class Patch:
    """The request goes on, changed: another model, parameters (dotted names; None takes one out), words for the model.

    ``headers`` go to the provider, whichever it is and at each attempt. Headers with credentials, those of HTTP itself, of
    Envoy, and our own are refused; what the provider's configuration sets wins.
    """

    model: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    system: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


__all__ = [
    "Answer",
    "Audit",
    "Block",
    "Caller",
    "Mark",
    "Patch",
    "Phase",
    "Redact",
    "Reply",
    "Request",
    "Scope",
    "Text",
]
