"""How much a request lets Claude think, and what else it may say then.

Source: Claude documentation, "Extended thinking", "Adaptive thinking", "Effort". Thinking with a budget goes with no forced
tool, with no sampling but nearly all of ``top_p``, and the turn that tools have just answered must begin with thoughts.
"""

from __future__ import annotations

from typing import Any, Final

from extproc.chat.losses import Losses
from extproc.chat.request import EFFORT_TOKENS, Request
from extproc.formats.anthropic.claude import Claude
from extproc.formats.unsigned import unthought
from extproc.framing.jsontext import Path

DEFAULT_MAX: Final = 4096
"""Tokens of an answer where the client set no limit: Anthropic must have one."""
_LEAST: Final = 1024
_EFFORTS: Final = frozenset({"low", "medium", "high", "xhigh", "max"})
_OF_ALL: Final = 0.95
"""The least top_p that goes with thinking."""


def lose(request: Request, name: str, losses: Losses, reason: str = "no such setting") -> None:
    """Note that a setting is left out."""
    losses.add(request.where.get(name, tuple(name.split("."))), reason)


def think(request: Request, model: Claude, body: dict[str, Any], losses: Losses) -> None:
    """Set ``thinking`` and ``output_config.effort`` of a body that has its messages, tool choice and ``max_tokens``."""
    wanted = request.thinking
    if wanted is None:
        return
    if wanted.effort == "none" or wanted.budget == 0:
        if model.stops:
            body["thinking"] = {"type": "disabled"}
    elif model.adaptive and not (model.budgets and wanted.budget and wanted.budget > 0):
        if wanted.effort or wanted.budget is not None:
            body["thinking"] = {"type": "adaptive"}
    elif wanted.effort or wanted.budget is not None:
        budget = _budget(request, body, losses)
        if budget:
            body["thinking"] = {"type": "enabled", "budget_tokens": budget}
    if model.adaptive and (effort := _effort(request, model, losses)):
        body["output_config"] = {"effort": effort}
    config = body.get("thinking")
    if wanted.show is not None:
        if config and config["type"] != "disabled":
            config["display"] = "summarized" if wanted.show else "omitted"
        else:
            lose(request, "thinking", losses, "nothing is thought that could be shown")


def _effort(request: Request, model: Claude, losses: Losses) -> str:
    """The effort of a model that takes one; budgets count as the effort they are nearest to."""
    wanted = request.thinking
    if wanted is None or wanted.effort == "none":
        return ""
    effort = wanted.effort
    if not effort and not model.budgets and wanted.budget is not None and wanted.budget > 0:
        budget = wanted.budget
        lose(request, "thinking", losses, "a budget is told as an effort")
        effort = min(_EFFORTS, key=lambda name: (abs(EFFORT_TOKENS[name] - budget), name))
    if effort == "minimal":
        effort = "low"
    if effort == "xhigh" and not model.xhigh:
        lose(request, "thinking", losses, "clamped")
        effort = "high"
    if effort and effort not in _EFFORTS:
        lose(request, "thinking", losses, "no such value")
        return ""
    return effort


def _budget(request: Request, body: dict[str, Any], losses: Losses) -> int:
    """Tokens to think of a model that takes them; 0 where this request cannot let it think."""
    wanted = request.thinking
    if wanted is None:
        return 0
    if body.get("tool_choice", {}).get("type") in ("any", "tool"):
        lose(request, "thinking", losses, "not together with a tool that must be called")
        return 0
    if unthought(body["messages"]):
        lose(request, "thinking", losses, "the turn it goes on with has no thoughts")
        return 0
    budget = wanted.budget if wanted.budget is not None and wanted.budget > 0 else 0
    budget = max(_LEAST, budget or EFFORT_TOKENS.get(wanted.effort or "high", 0))
    if request.settings.max_output is None:
        body["max_tokens"] = budget + DEFAULT_MAX
    elif budget >= body["max_tokens"]:
        if body["max_tokens"] <= _LEAST:
            lose(request, "thinking", losses, "no tokens are left to think")
            return 0
        lose(request, "thinking", losses, "clamped")
        budget = body["max_tokens"] - 1 if body["max_tokens"] < 2 * _LEAST else body["max_tokens"] // 2
    return budget


def sample(request: Request, model: Claude, body: dict[str, Any], losses: Losses) -> None:
    """Set what of temperature, top_p and top_k the model takes, alone and with what is in the body already."""
    given = request.settings
    values = {"temperature": given.temperature, "top_p": given.top_p, "top_k": given.top_k}
    thinks = body.get("thinking", {}).get("type") in ("enabled", "adaptive")
    for name, value in values.items():
        if value is None:
            continue
        if not model.sampled:
            reason = "the model does not take it"
        elif thinks and not (name == "temperature" and value == 1) and not (name == "top_p" and value >= _OF_ALL):
            reason = "not together with thinking"
        elif name == "top_p" and "temperature" in body:
            reason = "not together with temperature"
        else:
            body[name] = value
            if name == "temperature" and not 0 <= value <= 1:
                lose(request, "settings.temperature", losses, "clamped")
                body[name] = min(1.0, max(0.0, value))
            continue
        lose(request, f"settings.{name}", losses, reason)


def place(request: Request, name: str, index: int) -> Path:
    """Where one element of a setting that is a list stood."""
    return (*request.where.get(name, tuple(name.split("."))), index)
