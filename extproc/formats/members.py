"""Members of JSON objects whose types are not to be trusted: their values, or DecodeError. It names fields, never content."""

from __future__ import annotations

from typing import Any

from extproc.errors import DecodeError
from extproc.framing.jsontext import parse


def member(value: dict[str, Any], name: str, kind: type, other: Any = None) -> Any:
    """A member of a type; ``other`` where it is missing or null.

    Raises:
        DecodeError: it is of another type.
    """
    found = value.get(name)
    if found is None:
        return other
    if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool):
        raise DecodeError(f"{name} is not of the type it must have")
    return found


def needed(value: dict[str, Any], name: str, kind: type) -> Any:
    """A member that must be there.

    Raises:
        DecodeError: it is not there, or of another type.
    """
    found = member(value, name, kind)
    if found is None:
        raise DecodeError(f"{name} is missing")
    return found


def arguments(source: str) -> dict[str, Any] | None:
    """A call's arguments as an object; None where they are none."""
    if not source.strip():
        return {}
    try:
        value = parse(source.encode())
    except (DecodeError, UnicodeEncodeError):
        return None
    return value if isinstance(value, dict) else None
