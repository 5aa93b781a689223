"""The operations that may pass, and every spelling they go by. What is not in this table is answered 404.

An operation is known by method and exact path: no case folding, no trailing slash, no path parameters. Query strings
neither choose an operation nor reach a provider.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Operation(StrEnum):
    """What a client asks for."""

    CHAT = "chat"
    MODELS = "models"
    HEALTH = "health"


@dataclass(frozen=True, slots=True)
class Asked:
    """An operation, and the model where the path names it."""

    operation: Operation
    model: str | None = None


_PREFIXES: Final = ("", "/openai", "/proxy/openai")
_VERSIONS: Final = ("/v1", "")
_AZURE: Final = re.compile(r"/openai/deployments/([A-Za-z0-9][A-Za-z0-9._-]{0,127})/chat/completions")

_TABLE: Final[dict[tuple[str, str], Asked]] = {
    (method, f"{prefix}{version}{path}"): Asked(operation)
    for method, path, operation in (
        ("POST", "/chat/completions", Operation.CHAT),
        ("GET", "/models", Operation.MODELS),
    )
    for prefix in _PREFIXES
    for version in _VERSIONS
}

_TABLE["GET", "/health/liveness"] = Asked(Operation.HEALTH)

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods whose bodies Envoy delivers; others are refused at the headers."""


def find(method: str, target: str) -> Asked | None:
    """The operation for a method and request target, or None."""
    path = target.partition("?")[0]
    asked = _TABLE.get((method, path))
    if asked is None and method == "POST" and (azure := _AZURE.fullmatch(path)):
        return Asked(Operation.CHAT, azure[1])
    return asked


def spellings(operation: Operation) -> list[tuple[str, str]]:
    """Every (method, path) of an operation that the table lists."""
    return [key for key, asked in _TABLE.items() if asked.operation is operation]
