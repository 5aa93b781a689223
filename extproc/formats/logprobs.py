"""Log probabilities, as OpenAI's APIs tell them: a list of tokens that repeats a text, with what could have stood there.

Source: OpenAI API reference, "Chat Completions" (``logprobs``) and "Responses" (``logprobs`` of ``output_text``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

_TOKEN_KEYS: Final = frozenset({"token", "logprob", "bytes", "top_logprobs"})


def alternatives(value: Any) -> Iterator[str]:
    """Every string in log probabilities but the tokens of the text itself."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for child in value:
            yield from alternatives(child)
    elif isinstance(value, dict):
        for key, child in value.items():
            if key == "token" and "top_logprobs" in value:
                continue  # spelled compares it with the text
            yield from alternatives(child)


def spelled(tokens: Any) -> str | None:
    """The text of a list of tokens; None where it cannot be told or a token says something else than its bytes."""
    try:
        return b"".join(_token_bytes(token) for token in tokens or []).decode()
    except (TypeError, ValueError, KeyError, AttributeError):
        return None


def _token_bytes(token: Any) -> bytes:
    if set(token) - _TOKEN_KEYS:
        raise ValueError("unknown members")
    text: bytes = token["token"].encode()
    if token.get("bytes") is None:
        return text
    if not isinstance(token["bytes"], list):
        raise TypeError("bytes are not a list")
    raw = bytes(token["bytes"])
    if raw != text and _readable(raw):  # a part of a character has no text of its own
        raise ValueError("a token says something else than its bytes")
    return raw


def _readable(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
