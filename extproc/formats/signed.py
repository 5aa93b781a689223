"""Signatures of thoughts. A signature fits one text: where a policy has edited that text, it goes.

Makers refuse a conversation in which a thought and its signature do not fit; without a signature the thought can at least
be told from good ones, and left out (see ``formats.unsigned``).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Final

from extproc.errors import LimitExceeded
from extproc.formats.base import Format
from extproc.framing.jsontext import Path

_MOST: Final = 20_000
"""Edited thoughts of one stream."""


class Signatures:
    """Those of one document, or of one stream whose events are seen in the order they leave."""

    __slots__ = ("_edited", "_format")

    def __init__(self, format_: Format) -> None:
        self._format = format_
        self._edited: set[Hashable] = set()

    @property
    def broken(self) -> bool:
        """Whether anything was edited that a later event may sign."""
        return bool(self._edited)

    def blanked(self, value: Any, changed: Iterable[Path]) -> dict[Path, bytes]:
        """Edits of a document or event that take away the signatures of texts that changed, here or before.

        Raises:
            LimitExceeded: there are more of them than any answer has.
        """
        above = {path[:length] for path in changed for length in range(1, len(path))}
        edits: dict[Path, bytes] = {}
        if not above and not self._edited:
            return edits
        for each in self._format.signed(value):
            if each.path in above:
                self._edited.add(each.key)
            if each.name and each.key in self._edited:
                edits[*each.path, each.name] = each.blank
        if len(self._edited) > _MOST:
            raise LimitExceeded(f"more than {_MOST} of its thoughts are edited")
        return edits
