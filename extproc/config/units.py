"""Values with units, as people write them: ``32MiB``, ``2s``, ``100k``."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]i?B|B)?", re.ASCII)
_SIZES: Final = {None: 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)", re.ASCII)
_DURATIONS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_size(value: object) -> object:
    """Bytes from ``32MiB``, ``5MB``, ``4096``. Raises ValueError with what is allowed."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError("is not a size; write bytes or a unit: 4096, 64KiB, 32MiB, 1GiB")
    return int(float(found[1]) * _SIZES[found[2]])


def parse_duration(value: object) -> object:
    """Seconds from ``250ms``, ``2s``, ``5m``, ``1h``. Raises ValueError with what is allowed."""
    if isinstance(value, float):
        return value
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError("is not a duration; write a number with its unit: 250ms, 2s, 5m, 1h")
    return float(found[1]) * _DURATIONS[found[2]]


Size = Annotated[
    int,
    BeforeValidator(parse_size),
    Field(gt=0),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string", "pattern": r"^\d+(\.\d+)?\s*([KMG]i?B|B)?$"}]}),
]
Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    Field(gt=0),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*(ms|s|m|h|d)$", "examples": ["2s", "5m"]}),
]
