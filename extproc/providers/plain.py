"""What most kinds have in common: names from the configuration, no headers of their own, bodies as they are."""

from __future__ import annotations

from extproc.chat.losses import Losses
from extproc.providers.api import Body, Call, Names, Pairs


class Plain:
    """See ``Kind`` for each; a kind has ``names`` and ``formats``, and ``target``."""

    __slots__ = ()

    names: Names
    formats: tuple[str, ...]

    @property
    def stream_usage(self) -> bool:
        """See ``Kind``."""
        return False

    @property
    def passes(self) -> frozenset[str]:
        """See ``Kind``."""
        return frozenset()

    @property
    def defaults(self) -> Pairs:
        """See ``Kind``."""
        return ()

    @property
    def renames(self) -> bool:
        """See ``Kind``."""
        return bool(self.names.map)

    def speaks(self, model: str) -> tuple[str, ...]:
        """See ``Kind``."""
        return self.formats

    def own_name(self, asked: str) -> str:
        """See ``Kind``."""
        return self.names.own(asked)

    def adjusts(self, call: Call) -> bool:
        """See ``Kind``."""
        return False

    def adjust(self, body: Body, call: Call, losses: Losses) -> Body:
        """See ``Kind``."""
        return body
