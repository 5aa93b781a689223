"""References in configuration values: ``env:X``, ``$X``, ``${X}``, ``os.environ/X`` and ``file:P``; whole values only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_ENV: Final = re.compile(r"(?:env:|os\.environ/|\$)(\w+)|\$\{(\w+)\}", re.ASCII)


UNUSED: Final = "unused"
"""Stands for a key where an SDK will not start without one. To us it is none."""

PLACED: Final = frozenset({
    "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
})  # fmt: skip
"""The variables in which ``extproc env`` and ``extproc run`` say so."""


def without_placeholders(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without what is there for clients of a gateway only: to send it to a provider would be wrong."""
    return {name: value for name, value in environment.items() if not (value == UNUSED and name in PLACED)}


class UnresolvedError(ValueError):
    """A reference leads nowhere; the text names the variable or file, never a value."""


def variable(value: str) -> str | None:
    """The environment variable a value refers to, if it does."""
    found = _ENV.fullmatch(value)
    return (found[1] or found[2]) if found else None


def is_reference(value: str) -> bool:
    """Whether a value refers to something else."""
    return variable(value) is not None or value.startswith("file:")


def resolve(value: str, environment: Mapping[str, str], folder: Path) -> str:
    """The value itself, or what it refers to; files are read relative to ``folder``, their final line break dropped.

    Raises:
        UnresolvedError: no such variable or file.
    """
    name = variable(value)
    if name is not None:
        if not environment.get(name):
            why = f", or to the '{UNUSED}' of `extproc env`, which is no key" if name in PLACED else ""
            raise UnresolvedError(f"the environment variable {name} is not set{why}")
        return environment[name]
    if value.startswith("file:"):
        path = folder / value.removeprefix("file:")
        try:
            return path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise UnresolvedError(f"the file {path} cannot be read") from None
    return value
