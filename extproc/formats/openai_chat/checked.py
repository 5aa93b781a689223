"""Reading JSON whose types are not to be trusted: the value, or DecodeError. Messages name fields, never content."""

from __future__ import annotations

from typing import Any

from extproc.chat.losses import Losses
from extproc.errors import DecodeError
from extproc.framing.jsontext import Path


def record(value: Any, what: str) -> dict[str, Any]:
    """An object."""
    if not isinstance(value, dict):
        raise DecodeError(f"{what} is not an object")
    return value


def items(value: Any, what: str) -> list[Any]:
    """An array; none at all for null."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise DecodeError(f"{what} is not an array")
    return value


def string(value: Any, what: str) -> str:
    """A string; empty for null."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DecodeError(f"{what} is not a string")
    return value


def number(value: Any, what: str) -> float:
    """A number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DecodeError(f"{what} is not a number")
    return value


def whole(value: Any, what: str) -> int:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise DecodeError(f"{what} is not a whole number")
    return value


def flag(value: Any, what: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise DecodeError(f"{what} is not true or false")
    return value


def unknown(value: dict[str, Any], known: frozenset[str], where: Path, losses: Losses) -> None:
    """Note the members nobody reads; null says nothing."""
    for name, child in value.items():
        if child is not None and name not in known:
            losses.add((*where, name), "unknown field")
