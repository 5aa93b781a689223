"""Every format there is, by name."""

from __future__ import annotations

from typing import Final

from extproc.formats.base import Format
from extproc.formats.openai_chat import OpenAIChat

CHAT: Final = "openai-chat"
"""The format in which to speak to those who have not said which they speak."""

_ALL: Final[tuple[Format, ...]] = (OpenAIChat(),)

FORMATS: Final[dict[str, Format]] = {each.name: each for each in _ALL}
