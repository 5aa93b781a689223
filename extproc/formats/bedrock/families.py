"""How the makers of models on Bedrock say a text in the bodies of InvokeModel, whole and in chunks.

Source: Amazon Bedrock user guide, "Inference request parameters and response fields for foundation models". What is not known
is said as OpenAI's chat completions do, which newer makers follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Family:
    """One maker's shape.

    Args:
        models: what its models' names have in them.
        sign: a member that only its chunks have.
        whole: a whole answer of a text and the reason it ended for.
        chunk: a chunk that says a text, and the last one where there is a reason.
        stop: the reason of an answer that is complete; ``filtered`` of one that a filter has ended.
    """

    models: tuple[str, ...]
    sign: str
    whole: Callable[[str, str], Body]
    chunk: Callable[[str, str | None], list[Body]]
    stop: str = "stop"
    filtered: str = "stop"


_COUNTS: Final = {"prompt_token_count": 0, "generation_token_count": 0}
_NO_USAGE: Final = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
_NOVAS: Final = {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}


def _nova(text: str, reason: str) -> Body:
    message = {"role": "assistant", "content": [{"text": text}] if text else []}
    return {"output": {"message": message}, "stopReason": reason, "usage": _NOVAS}


def _nova_chunks(text: str, reason: str | None) -> list[Body]:
    said = {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": text}}}
    if reason is None:
        return [{"messageStart": {"role": "assistant"}}, said]
    ended: list[Body] = [{"contentBlockStop": {"contentBlockIndex": 0}}, {"messageStop": {"stopReason": reason}}]
    return [said, *ended] if text else ended


def _chat(text: str, reason: str) -> Body:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason}
    return {"object": "chat.completion", "choices": [choice], "usage": _NO_USAGE}


def _chat_chunks(text: str, reason: str | None) -> list[Body]:
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": reason}
    return [{"object": "chat.completion.chunk", "choices": [choice]}]


CHAT: Final = Family((), "choices", _chat, _chat_chunks, filtered="content_filter")
FAMILIES: Final = (
    Family(
        ("meta.llama",),
        "generation",
        lambda text, reason: {"generation": text, **_COUNTS, "stop_reason": reason},
        lambda text, reason: [{"generation": text, **_COUNTS, "stop_reason": reason}],
    ),
    Family(
        ("amazon.titan-text", "amazon.titan-tg"),
        "outputText",
        lambda text, reason: {
            "inputTextTokenCount": 0,
            "results": [{"tokenCount": 0, "outputText": text, "completionReason": reason}],
        },
        lambda text, reason: [{"outputText": text, "index": 0, "completionReason": reason}],
        "FINISH",
        "CONTENT_FILTERED",
    ),
    Family(("amazon.nova",), "contentBlockDelta", _nova, _nova_chunks, "end_turn", "content_filtered"),
    Family(
        ("mistral.mistral-7b", "mistral.mixtral", "mistral.mistral-large-2402", "mistral.mistral-small"),
        "outputs",
        lambda text, reason: {"outputs": [{"text": text, "stop_reason": reason}]},
        lambda text, reason: [{"outputs": [{"text": text, "stop_reason": reason}]}],
    ),
    Family(
        ("cohere.command",),
        "is_finished",
        lambda text, reason: {"text": text, "finish_reason": reason},
        lambda text, reason: [{"text": text, "is_finished": reason is not None, "finish_reason": reason}],
        "COMPLETE",
        "ERROR_TOXIC",
    ),
    CHAT,
)


def of_model(name: str) -> Family:
    """The family of a model."""
    return next((each for each in FAMILIES if any(part in name for part in each.models)), CHAT)


def of_chunk(chunk: Any) -> Family | None:
    """The family whose chunk this could be; None where it does not tell."""
    return next((each for each in FAMILIES if isinstance(chunk, dict) and each.sign in chunk), None)
