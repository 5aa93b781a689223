"""The clients of all services a configuration names: made when first asked, shared, closed in the end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from extproc.moderation.api import About, Moderation, Text
from extproc.moderation.client import Client
from extproc.moderation.services import load
from extproc.moderation.thresholds import Fired, fired


def client(moderation: Moderation) -> Client:
    """A ``Moderator`` for a description. On a running event loop.

    Raises:
        ConfigError: the description cannot work.
    """
    return Client(load(moderation.service)(moderation), moderation.deadline)


class Moderators:
    """One worker's. All on one event loop."""

    def __init__(self, make: Callable[[Moderation], Client] = client) -> None:
        self._make = make
        self._clients: dict[Moderation, Client] = {}
        self._leaving: set[Moderation] = set()

    async def judge(self, moderation: Moderation, texts: Sequence[Text], about: About | None = None) -> Fired:
        """What fired in these texts.

        Raises:
            ModerationError: there is no judgement, within the deadline.
            ConfigError: the description cannot work.
        """
        found = self._clients.get(moderation)
        if found is None:
            found = self._clients[moderation] = self._make(moderation)
        try:
            judgement = await found.judge(texts, about)
        finally:
            if moderation in self._leaving and not found.under_way:
                await self._close(moderation)
        return fired(judgement, texts, dict(moderation.thresholds))

    async def retain(self, moderations: Collection[Moderation]) -> None:
        """Close the clients of all others: at once, or when their last call is over."""
        self._leaving = set(self._clients).difference(moderations)
        for each in [each for each in self._leaving if not self._clients[each].under_way]:
            await self._close(each)

    async def _close(self, moderation: Moderation) -> None:
        self._leaving.discard(moderation)
        if gone := self._clients.pop(moderation, None):
            await gone.aclose()

    async def aclose(self) -> None:
        """Close all clients."""
        for each in list(self._clients):
            await self._close(each)
