"""A provider's rate limits under the names that the client's API has for them: OpenAI's and Anthropic's.

Both say when a limit is full again: OpenAI in how much time (``6m0s``), Anthropic at what time (RFC 3339). Sources: OpenAI's
guide "Rate limits", section "Rate limits in headers"; Anthropic API reference, "Rate limits", section "Response headers".
"""

from __future__ import annotations

import datetime
import re
from typing import Final

from extproc.events import Headers, Pairs

_KINDS: Final = ("requests", "tokens", "input-tokens", "output-tokens")
_FIELDS: Final = ("limit", "remaining", "reset")
_NAMES: Final = [
    (f"x-ratelimit-{field}-{kind}", f"anthropic-ratelimit-{kind}-{field}", field)
    for kind in _KINDS
    for field in _FIELDS
]
_TO_ANTHROPIC: Final = {openai: (anthropic, field) for openai, anthropic, field in _NAMES}
_TO_OPENAI: Final = {anthropic: (openai, field) for openai, anthropic, field in _NAMES}
"""The other API's names, and the client's for the same."""
_TIME: Final = re.compile(
    r"(?=.)(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,9}(?:\.\d{1,9})?)s)?(?:(\d{1,9})ms)?", re.ASCII
)
_UNITS: Final = (86400.0, 3600.0, 60.0, 1.0, 0.001)
_MOST: Final = 366 * 86400.0


def limits(headers: Headers, family: str, now: float) -> Pairs:
    """The limits that an answer's headers tell under the other API's names. Times that cannot be read are left out.

    Args:
        headers: the provider's.
        family: of the client's format.
        now: Unix time in seconds.
    """
    others = _TO_ANTHROPIC if family == "anthropic" else _TO_OPENAI
    if others.keys().isdisjoint(headers):
        return ()
    found: list[tuple[str, str]] = []
    for other, (own, field) in others.items():
        value = headers.get(other)
        if value is None or own in headers:
            continue
        if field == "reset":
            value = _at(value, now) if family == "anthropic" else _in(value, now)
        if value:
            found.append((own, value))
    return tuple(found)


def _at(told: str, now: float) -> str:
    """The time in this much time; empty where it cannot be read."""
    read = _TIME.fullmatch(told)
    if read is None:
        return ""
    wait = sum(float(number) * unit for number, unit in zip(read.groups(), _UNITS, strict=True) if number)
    then = datetime.datetime.fromtimestamp(now + min(wait, _MOST), datetime.UTC)
    return then.replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def _in(told: str, now: float) -> str:
    """How much time there is until then; empty where it cannot be read."""
    try:
        then = datetime.datetime.fromisoformat(told)
    except ValueError:
        return ""
    if then.tzinfo is None:
        return ""
    minutes, seconds = divmod(max(0, round(then.timestamp() - now)), 60)
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
