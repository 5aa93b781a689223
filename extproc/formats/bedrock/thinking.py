"""How much a request lets a model think: every maker's models on Bedrock have a way of their own to be told.

Source: Amazon Bedrock user guide, "Extended thinking" and "Adaptive thinking" (Claude), "Extended thinking" (Nova 2), "OpenAI
models", "Qwen models". With thinking Claude takes neither a forced tool nor sampling, and the turn that tools have just
answered must begin with thoughts.
"""

from __future__ import annotations

from typing import Any, Final

from extproc.chat.losses import Losses
from extproc.chat.request import EFFORT_TOKENS, Request, Thinking
from extproc.formats.anthropic.claude import Claude, claude
from extproc.formats.unsigned import unthought

_LEAST: Final = 1024
_THREE: Final = ("low", "medium", "high")


def is_claude(model: str) -> bool:
    """Whether a model's name says that it is Claude."""
    return "claude" in model


def may_be_claude(model: str) -> bool:
    """The same, or that it does not say what it is: profiles and deployments have ARNs of their own."""
    return is_claude(model) or model.startswith("arn:")


def lose(request: Request, name: str, losses: Losses, reason: str = "no such setting") -> None:
    """Note that a setting is left out."""
    losses.add(request.where.get(name, tuple(name.split("."))), reason)


def think(request: Request, turns: list[dict[str, Any]], forced: bool, losses: Losses) -> dict[str, Any]:
    """What ``additionalModelRequestFields`` says of thinking, beside these turns. ``forced``: a tool must be called."""
    wanted = request.thinking
    if wanted is None:
        return {}
    model = request.model
    if is_claude(model):
        return _claude(request, wanted, claude(model), _hindrance(turns, forced), losses)
    if wanted.show is not None:
        lose(request, "thinking", losses, "it cannot be said what is shown")
    effort = _effort(wanted)
    if "nova-2" in model:
        if effort == "none":
            return {"reasoningConfig": {"type": "disabled"}}
        return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": _one(effort, request, losses)}}
    if effort and effort != "none" and ("gpt-oss" in model or model.startswith("openai.")):
        return {"reasoning_effort": _one(effort, request, losses)}
    if effort and effort != "none" and "qwen" in model:
        return {"reasoning_config": _one(effort, request, losses)}
    lose(request, "thinking", losses)
    return {}


def _effort(wanted: Thinking) -> str:
    """The effort asked for, or the one a budget is nearest to."""
    if wanted.effort or wanted.budget is None:
        return wanted.effort
    budget = wanted.budget
    if budget <= 0:
        return "none" if budget == 0 else "medium"
    return min(EFFORT_TOKENS, key=lambda name: (abs(EFFORT_TOKENS[name] - budget), name))


def _one(effort: str, request: Request, losses: Losses) -> str:
    """One of three efforts."""
    if effort in _THREE:
        return effort
    lose(request, "thinking", losses, "clamped")
    return "low" if effort == "minimal" else "high" if effort in ("xhigh", "max") else "medium"


def _claude(request: Request, wanted: Thinking, model: Claude, hindrance: str, losses: Losses) -> dict[str, Any]:
    if wanted.effort == "none" or wanted.budget == 0:
        return {"thinking": {"type": "disabled"}} if model.stops else {}
    if model.adaptive and not (model.budgets and wanted.budget and wanted.budget > 0):
        config: dict[str, Any] = {"type": "adaptive"}
        fields: dict[str, Any] = {"thinking": config}
        if effort := _claudes(request, wanted, model, losses):
            fields["output_config"] = {"effort": effort}
    else:
        budget = _budget(request, wanted, hindrance, losses)
        if not budget:
            return {}
        config = {"type": "enabled", "budget_tokens": budget}
        fields = {"thinking": config}
    if wanted.show is not None:
        config["display"] = "summarized" if wanted.show else "omitted"
    return fields


def _claudes(request: Request, wanted: Thinking, model: Claude, losses: Losses) -> str:
    """The effort of a model that takes one; empty for as much as it likes."""
    effort = wanted.effort
    if not effort and wanted.budget is not None and wanted.budget > 0:
        lose(request, "thinking", losses, "a budget is told as an effort")
        effort = _effort(wanted)
    if effort == "minimal" or (effort == "xhigh" and not model.xhigh):
        lose(request, "thinking", losses, "clamped")
        effort = "low" if effort == "minimal" else "high"
    if effort and effort not in EFFORT_TOKENS:
        lose(request, "thinking", losses, "no such value")
        return ""
    return effort


def _hindrance(turns: list[dict[str, Any]], forced: bool) -> str:
    """Why Claude cannot be given a budget to think; empty where it can."""
    if forced:
        return "not together with a tool that must be called"
    return "the turn it goes on with has no thoughts" if unthought(turns) else ""


def _budget(request: Request, wanted: Thinking, hindrance: str, losses: Losses) -> int:
    """Tokens to think of a model that takes them; 0 where this request cannot let it think."""
    if hindrance:
        lose(request, "thinking", losses, hindrance)
        return 0
    budget = wanted.budget if wanted.budget is not None and wanted.budget > 0 else 0
    budget = max(_LEAST, budget or EFFORT_TOKENS.get(wanted.effort or "high", 0))
    most = request.settings.max_output
    if most is None or budget < most:
        return budget
    if most <= _LEAST:
        lose(request, "thinking", losses, "no tokens are left to think")
        return 0
    lose(request, "thinking", losses, "clamped")
    return max(_LEAST, most // 2)
