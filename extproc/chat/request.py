"""A request in the canonical form."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from extproc.chat.parts import Cache, Message
from extproc.framing.jsontext import Path


@dataclass(slots=True)
class Tool:
    """A function the model may call; ``parameters`` is its JSON Schema, None where it takes none or any.

    ``custom``: it takes text (of ``grammar``, as OpenAI has it), not JSON. ``native``: only the format of this name
    knows it (a provider's own web search); its JSON is then in ``parameters``.
    """

    name: str
    description: str = ""
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    custom: bool = False
    grammar: dict[str, Any] | None = None
    native: str = ""
    cache: Cache | None = None
    where: Path = ()


@dataclass(slots=True)
class ToolChoice:
    """Which tools are to be called; ``names`` for ``named`` (one) and for those allowed under the other modes (none: all)."""

    mode: Literal["auto", "none", "required", "named"]
    names: tuple[str, ...] = ()


@dataclass(slots=True)
class OutputShape:
    """What the answer has to look like: any JSON (``schema`` None), or JSON of a schema."""

    schema: dict[str, Any] | None = None
    name: str = ""
    description: str = ""
    strict: bool | None = None


@dataclass(slots=True)
class Thinking:
    """How much the model is to think.

    ``effort`` as in ``none``, ``minimal``, ``low``, ``medium``, ``high``, ``xhigh``, ``max``; ``budget`` in tokens, 0 for
    none, -1 for as many as the model likes; either may be missing. ``show``: whether the thoughts (or a summary) are
    wanted; None where nothing was said.
    """

    effort: str = ""
    budget: int | None = None
    show: bool | None = None


EFFORT_TOKENS: dict[str, int] = {
    "none": 0, "minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 65536,
}  # fmt: skip
"""Budgets that stand in for efforts where a provider takes tokens only, and the other way round."""


@dataclass(slots=True)
class Settings:
    """How the answer is generated; None where the client said nothing. Ranges are the client's format's: see ``encode``."""

    max_output: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    stop: list[str] = field(default_factory=list)
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    choices: int | None = None
    parallel_tools: bool | None = None
    verbosity: str = ""
    logprobs: int | None = None
    """Alternatives wanted for each token; 0 for the tokens' own alone."""
    logit_bias: dict[str, float] | None = None
    service_tier: str = ""
    modalities: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Request:
    """What a client asks of a model.

    ``where`` says under which path each setting stood (by its name here: ``settings.seed``, ``output``), for reports of
    losses. ``usage``: the client wants a stream's usage.
    """

    model: str
    messages: list[Message] = field(default_factory=list)
    tools: list[Tool] = field(default_factory=list)
    tool_choice: ToolChoice | None = None
    settings: Settings = field(default_factory=Settings)
    output: OutputShape | None = None
    thinking: Thinking | None = None
    stream: bool = False
    usage: bool = False
    user: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    where: dict[str, Path] = field(default_factory=dict)
