"""How the parts of this package say that a configuration cannot be used."""

from __future__ import annotations


class Wrong(Exception):
    """A provider cannot be used as configured. ``field``: where; empty: all of it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
