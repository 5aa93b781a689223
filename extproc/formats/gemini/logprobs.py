"""Log probabilities of a candidate: what they say besides its own text, and whether that is all they repeat.

Source: Gemini API reference, "LogprobsResult".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from extproc.formats.gemini.names import camel, either
from extproc.formats.gemini.signed import listed
from extproc.formats.walk import structural

_TOKEN_KEYS: Final = frozenset({"token", "tokenId", "token_id", "logProbability", "log_probability"})


def alternatives(value: Any) -> Iterator[str]:
    """Every string in log probabilities, and every odd name, but the tokens of the text itself."""
    if not isinstance(value, dict):
        yield from _strings(value)
        return
    yield from (key for key in value if not structural(key))
    for key, child in value.items():
        if camel(key) == "chosenCandidates" and isinstance(child, list):
            for token in child:
                rest = token if not isinstance(token, dict) else {**token, "token": None}
                yield from _strings(rest)  # repeats compares the tokens with the text
        else:
            yield from _strings(child)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        if isinstance(value, dict):
            yield from (key for key in value if not structural(key))
        for child in value.values() if isinstance(value, dict) else value:
            yield from _strings(child)


def repeats(candidate: dict[str, Any], logprobs: Any) -> bool:
    """Whether a candidate's log probabilities are of exactly its own text, and say nothing else in its place."""
    tokens = either(logprobs, "chosenCandidates")
    if not isinstance(logprobs, dict) or not isinstance(tokens, list | None):
        return False
    said: list[str] = []
    for token in tokens or []:
        if not isinstance(token, dict) or set(token) - _TOKEN_KEYS or not isinstance(token.get("token"), str):
            return False
        said.append(token["token"])
    return "".join(said) == "".join(_said(candidate))


def _said(candidate: dict[str, Any]) -> Iterator[str]:
    for _, part in listed(either(either(candidate, "content"), "parts"), ()):
        if isinstance(part, dict) and isinstance(part.get("text"), str) and not part.get("thought"):
            yield part["text"]
