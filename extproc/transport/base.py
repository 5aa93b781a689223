"""What a transport is to the rest of the house."""

from __future__ import annotations

from typing import Protocol


class Transport(Protocol):
    """A server of the external-processing service and the gRPC health service on one address."""

    async def start(self) -> None:
        """Listen. Raises StartupError where the address cannot be had."""
        ...

    async def stop(self, grace: float) -> None:
        """Take no new streams, let open ones end for at most ``grace`` seconds, then cut them."""
        ...
