"""Parts that the families' expressions share."""

from __future__ import annotations

from typing import Final

from extproc.policy.secrets.checks import random_looking
from extproc.policy.secrets.family import Check, Shape

WIDE_COLON: Final = "\uff1a"
"""The colon of Chinese and Japanese texts."""

ASSIGNED: Final = rf"""["'`\]\\]{{0,3}}\s{{0,4}}(?:=>|:=|\|\||[:={WIDE_COLON}])\s{{0,4}}"""
"""Between a name and its value in the languages that have assignments, mappings and headers."""

SEPARATOR: Final = ASSIGNED + r"""["'`\\]{0,3}"""
"""The same, and the quote the value may stand in."""

NAME: Final = r"[\w. -]{0,24}"
"""The rest of a variable's name behind the word that tells what it is."""

LOWER_HEX: Final = "[0-9a-f]"
ALNUM: Final = "[A-Za-z0-9]"
URLSAFE: Final = r"[\w-]"


def prefixed(
    opener: str, body: str, check: Check | None = random_looking, *, most: int = 0, more: str = "", whole: bool = False
) -> Shape:
    """A secret with a prefix of its own."""
    return Shape(opener, body, check, most=most, more=more, whole=whole)


def named(word: str, body: str, check: Check | None = random_looking, *, most: int = 0, name: str = NAME) -> Shape:
    """A secret that only the name before it tells: ``DATADOG_API_KEY=…``. Case does not count in ``word``."""
    return Shape(f"(?i:{word})", body, check, lead=name + SEPARATOR, most=most)
