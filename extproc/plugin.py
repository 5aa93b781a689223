"""For policies written in Python (kind ``python``): what they are given and what they may say.

    from extproc.plugin import Block, Caller, Redact, Text

    class NoShouting:
        def inspect(self, texts: list[Text], caller: Caller) -> Block | None:
            return Block("shouting") if any(each.text.isupper() for each in texts) else None

A policy is a class. If it has a class ``Config`` (a pydantic model), it is made with one, read from the configuration's
``config``; else without arguments. It may have either method or both:

``inspect(texts, caller)`` sees texts: of a request before it goes on, of an answer before it goes out, of a streamed one
in windows. It runs in a thread and has a deadline. ``request(request)`` sees the request as a whole; it runs where all
requests are served, so it must be quick and must not wait for anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

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
    """It goes on with these parts replaced. Of requests, in policies with ``action: redact``."""

    marks: Sequence[Mark]


@dataclass(frozen=True, slots=True)
class Reply:
    """The request is answered with this text."""

    text: str


@dataclass(frozen=True, slots=True)
class Patch:
    """The request goes on, changed: another model, parameters (dotted names; None takes one out), words for the model."""

    model: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    system: str = ""


__all__ = ["Audit", "Block", "Caller", "Mark", "Patch", "Phase", "Redact", "Reply", "Request", "Scope", "Text"]
