"""What Gemini counts, and how its candidates end.

Source: Gemini API reference, "UsageMetadata" and "FinishReason".
"""

from __future__ import annotations

from typing import Any, Final

from extproc.chat.answer import Finish, Usage
from extproc.formats.gemini.names import count, either

_FINISH: Final = {
    "STOP": Finish.STOP,
    "MAX_TOKENS": Finish.LENGTH,
    **dict.fromkeys(
        (
            "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION", "MODEL_ARMOR",
        ),
        Finish.FILTER,
    ),
}  # fmt: skip
_REASONS: Final = {
    Finish.STOP: "STOP",
    Finish.STOP_SEQUENCE: "STOP",
    Finish.TOOLS: "STOP",
    Finish.LENGTH: "MAX_TOKENS",
    Finish.FILTER: "SAFETY",
    Finish.REFUSAL: "SAFETY",
}


def usage(body: Any) -> Usage | None:
    """Tokens an answer or event counts. Thoughts are no part of the candidates' tokens, nor tools' texts of the prompt's."""
    found = either(body, "usageMetadata")
    if not isinstance(found, dict):
        return None
    thoughts = count(either(found, "thoughtsTokenCount"))
    return Usage(
        input=count(either(found, "promptTokenCount")) + count(either(found, "toolUsePromptTokenCount")),
        output=count(either(found, "candidatesTokenCount")) + thoughts,
        cached=count(either(found, "cachedContentTokenCount")),
        reasoning=thoughts,
        audio_input=_of_sound(either(found, "promptTokensDetails")),
        audio_output=_of_sound(either(found, "candidatesTokensDetails")),
    )


def _of_sound(details: Any) -> int:
    return sum(
        count(either(each, "tokenCount"))
        for each in (details if isinstance(details, list) else [])
        if either(each, "modality") == "AUDIO"
    )


def metadata(used: Usage) -> dict[str, Any]:
    """``usageMetadata`` of these counts."""
    said = used.output - min(used.reasoning, used.output)
    found: dict[str, Any] = {"promptTokenCount": used.input, "candidatesTokenCount": said}
    if used.reasoning:
        found["thoughtsTokenCount"] = used.reasoning
    if used.cached:
        found["cachedContentTokenCount"] = used.cached
    for name, tokens in (("promptTokensDetails", used.audio_input), ("candidatesTokensDetails", used.audio_output)):
        if tokens:
            found[name] = [{"modality": "AUDIO", "tokenCount": tokens}]
    return {**found, "totalTokenCount": used.input + used.output}


def ended(candidate: Any) -> Any:
    """Why a candidate ended; None while it goes on."""
    reason = either(candidate, "finishReason")
    return None if reason == "FINISH_REASON_UNSPECIFIED" else reason


def finish(reason: Any) -> Finish:
    """A finish reason of theirs in our words."""
    return _FINISH.get(reason, Finish.OTHER) if isinstance(reason, str) else Finish.OTHER


def reason(ended_by: Finish) -> str:
    """The other way round."""
    return _REASONS.get(ended_by, "OTHER")
