"""Log probabilities, as OpenAI's APIs tell them: a list of tokens that repeats a text, with what could have stood there.

Source: OpenAI API reference, "Chat Completions" (``logprobs``) and "Responses" (``logprobs`` of ``output_text``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

_TOKEN_KEYS: Final = frozenset({"token", "logprob", "bytes", "top_logprobs"})
_TEXTS: Final = frozenset({"content", "refusal"})


def alternatives(value: Any) -> Iterator[str]:
    """Every string and odd name in log probabilities, and what bytes say, but for the tokens of the text itself."""
    if isinstance(value, dict):
        yield from (key for key in value if key not in _TEXTS)
    for tokens in value.values() if isinstance(value, dict) else (value,):
        for token in tokens if isinstance(tokens, list) else (tokens,):
            yield from _said(token, own=True)


def _said(value: Any, *, own: bool = False) -> Iterator[str]:
    """What a value says; ``own``: it is a token of the text itself, which ``spelled`` compares with the text."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for child in value:
            yield from _said(child)
    elif isinstance(value, dict):
        for key, child in value.items():
            if own and key in ("token", "bytes"):
                continue
            if key not in _TOKEN_KEYS:
                yield key
            if key == "bytes" and (text := _text(child)) and text != value.get("token"):
                yield text
            yield from _said(child)


def _text(told: Any) -> str:
    """What a list of bytes says; empty for anything else."""
    listed = isinstance(told, list) and all(isinstance(each, int) and 0 <= each < 256 for each in told)
    return bytes(told).decode(errors="replace") if listed else ""


def everything(value: Any) -> Iterator[str]:
    """The same with the tokens of the text itself, put together."""
    tokens = value if isinstance(value, list) else []
    given = [token for token in tokens if isinstance(token, dict)]
    yield "".join([token["token"] for token in given if isinstance(token.get("token"), str)])
    yield "".join([_text(token.get("bytes")) for token in given])
    yield from _said(value)


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
