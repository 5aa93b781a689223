"""How an answer is generated, to and fro: generationConfig and toolConfig.

Source: Gemini API reference, "GenerationConfig" and "ToolConfig"; Gemini API guides, "Thinking": models of the 2.5 series
take a budget within their bounds, later ones a level (and a budget for old times' sake), earlier ones neither.
"""

from __future__ import annotations

import re
from typing import Any, Final

from extproc.chat.losses import Losses
from extproc.chat.request import EFFORT_TOKENS, OutputShape, Request, Thinking, ToolChoice
from extproc.errors import DecodeError, Unrepresentable
from extproc.formats.gemini.names import elements, fields, text
from extproc.formats.gemini.schema import json_schema
from extproc.framing.jsontext import Path

ONLY: Final = "only Gemini's"
UNKNOWN: Final = "unknown field"
_NO_WORD: Final = "no such setting"

_WHOLE: Final = {
    "maxOutputTokens": "max_output", "topK": "top_k", "seed": "seed", "candidateCount": "choices",
}  # fmt: skip
_NUMBERS: Final = {
    "temperature": "temperature", "topP": "top_p", "frequencyPenalty": "frequency_penalty",
    "presencePenalty": "presence_penalty",
}  # fmt: skip
_THEIRS: Final = frozenset({
    "speechConfig", "mediaResolution", "audioTimestamp", "routingConfig", "modelSelectionConfig", "modelConfig",
    "imageConfig", "enableEnhancedCivicAnswers", "enableAffectiveDialog", "translationConfig",
    "audioTranscriptionConfig",
})  # fmt: skip
_TOGETHER: Final = frozenset({
    "stopSequences", "responseLogprobs", "logprobs", "responseModalities", "responseMimeType", "responseSchema",
    "responseJsonSchema", "thinkingConfig",
})  # fmt: skip
"""Read by what they mean together."""
_RANGES: Final[dict[str, tuple[float, float]]] = {
    "temperature": (0, 2), "top_p": (0, 1), "choices": (1, 8), "frequency_penalty": (-2, 2), "presence_penalty": (-2, 2),
    "seed": (-(2**31), 2**31 - 1), "logprobs": (0, 20),
}  # fmt: skip
_STOPS: Final = 5
_OLD: Final = re.compile(r"gemini-(?:1\.|2\.0)|gemma|learnlm")
"""Models that do not think."""
_BUDGETED: Final = re.compile(r"gemini-2\.5")
_LEVELS: Final = ("minimal", "low", "medium", "high")


def number(value: Any, what: str) -> float:
    """A number.

    Raises:
        DecodeError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DecodeError(f"{what} is not a number")
    return value


def whole(value: Any, what: str) -> int:
    """A whole number, which may also be written as 40.0 or, as ProtoJSON does, "40".

    Raises:
        DecodeError: it is none.
    """
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value, re.ASCII):
        return int(value)
    found = number(value, what)
    if found != found or abs(found) > 2**62 or found != int(found):
        raise DecodeError(f"{what} is not a whole number")
    return int(found)


# reading


def read(config: Any, where: Path, request: Request, losses: Losses) -> None:
    """Read generationConfig into a request.

    Raises:
        DecodeError: a setting has the wrong type.
        Unrepresentable: the answer is asked for in a form that only Gemini knows.
    """
    given = fields(config, "generationConfig")
    settings = request.settings
    for name, value in given.items():
        if name in _WHOLE:
            _set(request, _WHOLE[name], whole(value, name), (*where, name))
        elif name in _NUMBERS:
            _set(request, _NUMBERS[name], float(number(value, name)), (*where, name))
        elif name not in _TOGETHER:
            losses.add((*where, name), ONLY if name in _THEIRS else UNKNOWN)
    settings.stop = [text(each, "a stop sequence") for each in elements(given.get("stopSequences"), "stopSequences")]
    if given.get("responseLogprobs") is True:
        _set(request, "logprobs", whole(given.get("logprobs", 0), "logprobs"), (*where, "logprobs"))
    for each in elements(given.get("responseModalities"), "responseModalities"):
        settings.modalities.append(text(each, "a modality").lower())
    _set(request, "stop", settings.stop, (*where, "stopSequences"))
    _set(request, "modalities", settings.modalities, (*where, "responseModalities"))
    request.output = _shape(given, where)
    request.where["output"] = (*where, "responseMimeType")
    if "thinkingConfig" in given:
        request.thinking = _thinking(given["thinkingConfig"])
        request.where["thinking"] = (*where, "thinkingConfig")


def _set(request: Request, name: str, value: Any, where: Path) -> None:
    setattr(request.settings, name, value)
    request.where[f"settings.{name}"] = where


def _shape(given: dict[str, Any], where: Path) -> OutputShape | None:
    media = given.get("responseMimeType")
    if media not in (None, "", "text/plain", "application/json"):
        raise Unrepresentable((*where, "responseMimeType"), "an answer in a format of Gemini's own")
    if "responseSchema" in given and "responseJsonSchema" in given:
        raise DecodeError("there are two schemas for the answer")
    schema = given.get("responseJsonSchema", json_schema(given.get("responseSchema")))
    if schema is not None and not isinstance(schema, dict):
        raise DecodeError("a schema is not an object")
    return OutputShape(schema) if schema is not None or media == "application/json" else None


def _thinking(value: Any) -> Thinking:
    given = fields(value, "thinkingConfig")
    level = text(given.get("thinkingLevel", ""), "thinkingLevel").lower()
    budget = given.get("thinkingBudget")
    show = given.get("includeThoughts")
    return Thinking(
        effort="" if level == "thinking_level_unspecified" else level,
        budget=None if budget is None else whole(budget, "thinkingBudget"),
        show=show if isinstance(show, bool) else None,
    )


def choice(value: Any, where: Path, losses: Losses) -> ToolChoice | None:
    """What toolConfig says of the choice of tools.

    Raises:
        DecodeError: it has the wrong shape.
    """
    given = fields(value, "toolConfig")
    for name in given.keys() - {"functionCallingConfig"}:
        losses.add((*where, name), ONLY)
    calling = fields(given.get("functionCallingConfig", {}), "functionCallingConfig")
    for name in calling.keys() - {"mode", "allowedFunctionNames"}:
        losses.add((*where, "functionCallingConfig", name), ONLY)
    names = tuple(text(each, "a name") for each in elements(calling.get("allowedFunctionNames"), "a list of names"))
    mode = text(calling.get("mode", ""), "mode").upper()
    if mode == "ANY":
        return ToolChoice("named" if len(names) == 1 else "required", names)
    if mode == "NONE":
        return ToolChoice("none")
    if mode not in ("", "AUTO", "VALIDATED", "MODE_UNSPECIFIED"):
        raise DecodeError("a mode of function calling that nobody knows")
    if mode == "VALIDATED" and not names:
        losses.add((*where, "functionCallingConfig", "mode"), ONLY)
    return ToolChoice("auto", names) if names or mode in ("AUTO", "VALIDATED") else None


# writing


def write(request: Request, losses: Losses) -> dict[str, Any]:
    """The generationConfig of a request; empty where nothing is asked for."""
    settings = request.settings
    found: dict[str, Any] = {}
    for theirs, ours in (_WHOLE | _NUMBERS).items():
        if (value := getattr(settings, ours)) is not None:
            found[theirs] = _clamped(request, ours, value, losses)
    if settings.stop:
        found["stopSequences"] = settings.stop[:_STOPS]
        if len(settings.stop) > _STOPS:
            losses.add(_at(request, "settings.stop"), "clamped")
    if settings.logprobs is not None:
        found["responseLogprobs"] = True
        if settings.logprobs:
            found["logprobs"] = _clamped(request, "logprobs", settings.logprobs, losses)
    if settings.modalities:
        found["responseModalities"] = [each.upper() for each in settings.modalities]
    for name in ("min_p", "parallel_tools", "verbosity", "logit_bias", "service_tier"):
        if getattr(settings, name) not in (None, "", True):
            losses.add(_at(request, f"settings.{name}"), _NO_WORD)
    if request.output:
        found |= _written(request.output, request, losses)
    if request.thinking and (thinking := _thought(request.thinking, request, losses)):
        found["thinkingConfig"] = thinking
    return found


def _at(request: Request, name: str) -> Path:
    return request.where.get(name) or tuple(name.split("."))


def _clamped(request: Request, name: str, value: Any, losses: Losses) -> Any:
    low, high = _RANGES.get(name, (0, 2**31 - 1))
    if low <= value <= high:
        return value
    losses.add(_at(request, f"settings.{name}"), "clamped")
    return type(value)(min(max(value, low), high))


def _written(shape: OutputShape, request: Request, losses: Losses) -> dict[str, Any]:
    if shape.name or shape.description:
        losses.add(_at(request, "output"), "name of a schema")
    found: dict[str, Any] = {"responseMimeType": "application/json"}
    return found if shape.schema is None else {**found, "responseJsonSchema": shape.schema}


def _thought(thinking: Thinking, request: Request, losses: Losses) -> dict[str, Any]:
    model = request.model.lower()
    asks = thinking.effort or thinking.budget is not None or thinking.show
    if _OLD.search(model):
        if asks:
            losses.add(_at(request, "thinking"), _NO_WORD)
        return {}
    found: dict[str, Any] = {}
    if thinking.show is not None:
        found["includeThoughts"] = thinking.show
    if _BUDGETED.search(model):
        budget = EFFORT_TOKENS.get(thinking.effort) if thinking.budget is None else thinking.budget
        if budget is not None:
            found["thinkingBudget"] = _affordable(model, budget)
            if found["thinkingBudget"] != budget:
                losses.add(_at(request, "thinking"), "clamped")
    elif thinking.effort:
        level = _level(model, thinking.effort)
        found["thinkingLevel"] = level.upper()
        if level != thinking.effort or thinking.budget is not None:
            losses.add(_at(request, "thinking"), "clamped")
    elif thinking.budget is not None:
        found["thinkingBudget"] = thinking.budget
    return found


def _affordable(model: str, budget: int) -> int:
    """A budget within the bounds of a model of the 2.5 series; -1 is up to the model."""
    if budget < 0:
        return -1
    if "pro" in model:
        return min(max(budget, 128), 32768)
    if "lite" in model and budget:
        return min(max(budget, 512), 24576)
    return min(budget, 24576)


def _level(model: str, effort: str) -> str:
    """The level nearest to an effort that a model knows; none of them can be told not to think."""
    level = effort if effort in _LEVELS else "minimal" if effort == "none" else "high"
    if "pro" in model and level == "minimal":
        return "low"
    return "high" if "gemini-3-pro" in model and level == "medium" else level


def tool_config(chosen: ToolChoice) -> dict[str, Any]:
    """The toolConfig of a choice. A choice among some tools without having to call any is what VALIDATED is for."""
    modes = {"none": "NONE", "required": "ANY", "named": "ANY", "auto": "VALIDATED" if chosen.names else "AUTO"}
    calling: dict[str, Any] = {"mode": modes[chosen.mode]}
    if chosen.names and chosen.mode != "none":
        calling["allowedFunctionNames"] = [*chosen.names]
    return {"functionCallingConfig": calling}
