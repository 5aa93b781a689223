"""The words moderation speaks: texts, findings, judgements, and the description of a service a policy uses.

A category is a lower-case name (see ``label``), so that a hostile answer cannot carry words into logs. A score is from 0
(certainly not) to 1 (certainly). Places in texts count code points.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, Protocol

from extproc.errors import ExtprocError
from extproc.policy.api import Phase, Scope

Service = Literal["openai", "judge", "grpc", "webhook", "presidio", "bedrock", "azure"]
"""The services we speak to; each is a module of this package."""

FLAGGED: Final = "flagged"
"""The category of a text that a service flags without saying why."""

_ROLES: Final = {Scope.SYSTEM: "system", Scope.USER: "user", Scope.TOOL_OUTPUT: "tool"}
_LABEL: Final = re.compile(r"[^a-z0-9/_.-]+", re.ASCII)
_LABEL_MAX: Final = 64


class ModerationError(ExtprocError):
    """A service gave no usable answer. The text is constant: it never holds content, keys or what the service said.

    ``outage``: the service is at fault whoever asks, so that asking again at once is pointless. An answer that one
    caller's words may have provoked is no outage: nobody can switch moderation off for everybody else.
    """

    def __init__(self, message: str, *, outage: bool = False) -> None:
        super().__init__(message)
        self.outage = outage


class Text(NamedTuple):
    """A text to be judged, whose words it is, and that as a chat API would name it."""

    scope: Scope
    role: str
    text: str

    @classmethod
    def of(cls, scope: Scope, text: str) -> Text:
        """A text with the usual role of its scope."""
        return cls(scope, _ROLES.get(scope, "assistant"), text)


@dataclass(frozen=True, slots=True)
class About:
    """What services may know of the exchange besides its texts."""

    phase: Phase = Phase.REQUEST
    request_id: str = ""


class Mark(NamedTuple):
    """Characters ``start`` to ``end`` of a text and their category.

    ``replacement``: what the service wants in their place; None leaves that to the policy.
    """

    start: int
    end: int
    label: str
    score: float = 1.0
    replacement: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What a service says of one text.

    ``flagged`` is its own opinion and ``labels`` the categories it bases that on, where it says so; ``marks`` are places,
    where it gives any.
    """

    flagged: bool = False
    scores: Mapping[str, float] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a service says of several texts, in their order."""

    findings: tuple[Finding, ...]

    @property
    def flagged(self) -> bool:
        """Whether the service flags any of them."""
        return any(each.flagged for each in self.findings)


class Moderator(Protocol):
    """Judges texts."""

    async def judge(self, texts: Sequence[Text], about: About = ...) -> Judgement:
        """The judgement, with one finding a text.

        Raises:
            ModerationError: there is none, within the deadline.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


@dataclass(frozen=True, slots=True)
class Moderation:
    """A policy's service: all that is needed to ask it, and when. Equal descriptions may share a client.

    Args:
        service: which.
        url: where it is.
        model: what it judges with; for Bedrock ``GUARDRAIL/VERSION``.
        keys: one, or for Bedrock the two or three parts of AWS credentials.
        thresholds: the score from which on each category counts; empty: what the service itself flags counts.
        wait: ``before``: the request waits for the judgement; ``parallel``: only the answer does.
        deadline: seconds for one judgement.
        window: characters of a streamed answer that are judged at a time.
        lag: characters of it that may leave before they are judged.
        language: of the texts, for Presidio.
        ca: path of a PEM bundle to check certificates with; empty: the system's.
        places: whether the places of what is found matter.
        template: what redacted text becomes; ``{type}`` is the category.
    """

    service: Service
    url: str
    model: str = ""
    keys: tuple[str, ...] = field(default=(), repr=False)
    thresholds: tuple[tuple[str, float], ...] = ()
    wait: Literal["before", "parallel"] = "before"
    deadline: float = 2.0
    window: int = 2000
    lag: int = 0
    language: str = "en"
    ca: str = ""
    places: bool = False
    template: str = "[{type}]"

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories that have thresholds."""
        return tuple(name for name, _ in self.thresholds)

    def replacement(self, label: str) -> str:
        """What stands in for text of a category."""
        return self.template.replace("{type}", label)


def label(name: str) -> str:
    """A category's name in the form it has everywhere here: lower case, few characters, short."""
    return _LABEL.sub("_", name.lower())[:_LABEL_MAX].strip("_") or FLAGGED
