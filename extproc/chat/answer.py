"""An answer in the canonical form: whole, and as the events of a stream."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from extproc.chat.parts import Part


class Finish(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    STOP_SEQUENCE = "stop_sequence"
    LENGTH = "length"
    TOOLS = "tools"
    FILTER = "filter"
    """A content filter, the provider's or ours."""
    REFUSAL = "refusal"
    PAUSE = "pause"
    """The provider stopped in the middle of its own tools' work and can be asked to go on."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counted them.

    ``input`` includes ``cached`` (read from a cache) and ``cache_write`` (put into one); ``output`` includes ``reasoning``.
    ``seconds`` of sound are told where a model is paid by them, not by tokens.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0
    cache_write: int = 0
    audio_input: int = 0
    audio_output: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Choice:
    """One of the answers; ``stopped_by`` is the stop sequence it ended at, where that is told."""

    index: int = 0
    parts: list[Part] = field(default_factory=list)
    finish: Finish | None = None
    stopped_by: str = ""


@dataclass(slots=True)
class Answer:
    """What a model said. ``created`` is Unix time in seconds, 0 where the provider does not tell."""

    id: str = ""
    model: str = ""
    created: int = 0
    choices: list[Choice] = field(default_factory=list)
    usage: Usage | None = None


class FailureKind(StrEnum):
    """What went wrong, in words every format has its own for."""

    INVALID = "invalid_request"
    AUTHENTICATION = "authentication"
    PERMISSION = "permission"
    NOT_FOUND = "not_found"
    TOO_LARGE = "too_large"
    RATE_LIMIT = "rate_limit"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    FILTERED = "content_filter"
    INTERNAL = "internal"


@dataclass(slots=True)
class Failure:
    """A provider's error, whole or in the middle of a stream. ``code`` is the provider's own word; ``status`` is HTTP's."""

    kind: FailureKind
    message: str
    code: str = ""
    status: int = 500
    param: str = ""


# a stream


@dataclass(slots=True)
class Start:
    """The first event; may come without id and model. Comes once."""

    id: str = ""
    model: str = ""
    created: int = 0


@dataclass(slots=True)
class PartStart:
    """A part begins: ``part`` as far as it is known (a call's id and name, empty text); media and native parts are whole.

    ``number`` counts the parts of a choice from 0, in order; several may be open at once.
    """

    choice: int
    number: int
    part: Part


@dataclass(slots=True)
class PartDelta:
    """More of an open part: text, or JSON source of a call's arguments; ``signature`` and ``sealed`` of reasoning."""

    choice: int
    number: int
    text: str = ""
    signature: str = ""
    sealed: str = ""


@dataclass(slots=True)
class PartEnd:
    """A part is complete."""

    choice: int
    number: int


@dataclass(slots=True)
class Finished:
    """A choice is complete; all its parts have ended before."""

    choice: int
    finish: Finish
    stopped_by: str = ""


@dataclass(slots=True)
class Used:
    """Tokens so far; the last one counts. May come before or after ``Finished``."""

    usage: Usage


StreamEvent = Start | PartStart | PartDelta | PartEnd | Finished | Used | Failure
"""A stream is Start, then parts of one or more choices, each choice ended by Finished; or it ends with a Failure."""
