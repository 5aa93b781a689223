"""What OpenAI's APIs for sound and pictures count: tokens, or seconds of sound."""

from __future__ import annotations

from typing import Any

from extproc.chat.answer import Usage


def count(mapping: Any, key: str) -> int:
    """A number of tokens; 0 where there is none."""
    value = mapping.get(key) if isinstance(mapping, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def tokens(usage: Any) -> Usage | None:
    """A ``usage`` object that counts tokens; None for any other."""
    if not isinstance(usage, dict) or "input_tokens" not in usage:
        return None
    details = usage.get("input_token_details")
    return Usage(
        input=count(usage, "input_tokens"),
        output=count(usage, "output_tokens"),
        audio_input=count(details, "audio_tokens"),
    )


def seconds(value: Any) -> Usage | None:
    """A length of sound in seconds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
        return None
    return Usage(seconds=float(value))
