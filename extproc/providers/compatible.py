"""A stopgap."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from extproc.providers.api import Call, Pairs

PATHS = {"openai-chat": "/chat/completions"}


class Compatible:
    name = "openai-compatible"
    formats: tuple[str, ...] = ("openai-chat",)
    stream_usage = True
    alters = False

    def __init__(self, path: str = "") -> None:
        self._path = path

    def target(self, base: str, call: Call) -> str | None:
        if call.format == "openai-chat" and self._path:
            return base + self._path
        path = PATHS.get(call.format)
        return base + path if path else None

    def adjusts(self, call: Call) -> bool:
        return False

    def adjust(self, body: dict[str, Any], call: Call) -> dict[str, Any]:
        return body

    def headers(self, call: Call, client: Mapping[str, str]) -> Pairs:
        return ()


class Keys:
    needs_body = False

    def __init__(self, header: str, prefix: str, keys: tuple[str, ...], client: bool) -> None:
        self.names = frozenset({header}) if keys or client else frozenset()
        self._header, self._prefix, self._keys = header, prefix, keys
        self.turns = len(keys)
        self._turns = itertools.count()

    def headers(self, method: str, authority: str, path: str, body: bytes, now: float) -> Pairs:
        if not self._keys:
            return ()
        return ((self._header, self._prefix + self._keys[next(self._turns) % len(self._keys)]),)
