"""Names of members in both spellings that these APIs accept.

Source: Protocol Buffers documentation, "ProtoJSON Format": parsers take a field's lowerCamelCase name and its original
name in snake case. A body that has both says two things at once.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from extproc.errors import DecodeError

_UNDERSCORE: Final = re.compile(r"_([a-z0-9])")
_CAPITAL: Final = re.compile("([A-Z])")


@lru_cache(2048)
def camel(name: str) -> str:
    """A member's name in lowerCamelCase; names that are no field's stay as they are."""
    return _UNDERSCORE.sub(lambda found: found[1].upper(), name) if len(name) <= 64 and name[:1].islower() else name


@lru_cache(2048)
def snake(name: str) -> str:
    """A field's original name."""
    return _CAPITAL.sub(r"_\1", name).lower()


def fields(value: Any, what: str) -> dict[str, Any]:
    """The members of an object by their lowerCamelCase names; those that are null are left out, as null means unset.

    Args:
        what: what it is, for the error.

    Raises:
        DecodeError: it is no object, or has a member in both spellings.
    """
    if not isinstance(value, dict):
        raise DecodeError(f"{what} is not an object")
    found = {camel(name): child for name, child in value.items() if child is not None}
    if len(found) != sum(1 for child in value.values() if child is not None):
        raise DecodeError(f"{what} has a field in two spellings")
    return found


def spelling(value: dict[str, Any], name: str) -> str:
    """How an object spells a member that it has: ``name`` is in lowerCamelCase and given back where it has none."""
    if name in value or name.islower():
        return name
    return next((each for each in value if "_" in each and camel(each) == name), name)


def either(value: Any, name: str) -> Any:
    """A member in whichever spelling; None where there is none, or no object."""
    if not isinstance(value, dict):
        return None
    found = value.get(name)
    return value.get(snake(name)) if found is None else found


def elements(value: Any, what: str) -> list[Any]:
    """The elements of a list; a single object counts as a list of one, null as none.

    Raises:
        DecodeError: it is neither.
    """
    if value is None:
        return []
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        raise DecodeError(f"{what} is not a list")
    return value


def text(value: Any, what: str) -> str:
    """A string.

    Raises:
        DecodeError: it is none.
    """
    if not isinstance(value, str):
        raise DecodeError(f"{what} is not a string")
    return value


def count(value: Any) -> int:
    """A number of tokens as providers may write it; 0 for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)  # ProtoJSON writes 64-bit integers as strings
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
