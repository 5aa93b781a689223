"""One worker process as the supervisor knows it: started, listened to, told things, ended."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from extproc.config.load import Loaded
from extproc.config.references import without_placeholders
from extproc.control import Channel
from extproc.errors import StartupError

READY_WITHIN: Final = 30.0
"""Seconds a worker may take to start, or to take a configuration."""


def order(op: str, loaded: Loaded, generation: int, packs: Path | None, **more: Any) -> dict[str, Any]:
    """The message that gives a worker a configuration."""
    return {
        "op": op,
        "config": loaded.config.model_dump(mode="json", exclude_unset=True),
        "environment": dict(loaded.environment),
        "folder": str(loaded.folder.resolve()),
        "files": [str(each) for each in loaded.source.files],
        "generation": generation,
        "packs": str(packs) if packs else "",
        **more,
    }


class Member:
    """One worker process and the supervisor's end of its channel."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, channel: Channel) -> None:
        self.name = name
        self.process = process
        self.channel = channel
        self.began = self.seen = time.monotonic()
        self.generation = 0
        """The configuration it decides by."""
        self.prepared = 0
        """The configuration whose backends it knows."""
        self._listening = asyncio.Event()
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def spawn(cls, name: str, listeners: Sequence[socket.socket]) -> Self:
        """Start a process; it does nothing until it has its first order."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "extproc.worker",
                str(theirs.fileno()),
                env=without_placeholders(os.environ),  # what looks for keys there by itself must not find those
                pass_fds=[theirs.fileno(), *(each.fileno() for each in listeners)],
                start_new_session=True,  # Ctrl-C is for the supervisor, which lets answers end first
            )
        finally:
            theirs.close()
        return cls(name, process, await Channel.over(ours))

    @property
    def living(self) -> bool:
        """Whether the process runs."""
        return self.process.returncode is None

    @property
    def ready(self) -> bool:
        """Whether it has said that it can serve."""
        return self._ready.done() and not self._ready.cancelled() and self._ready.exception() is None

    async def started(self) -> None:
        """Wait until it can serve.

        Raises:
            StartupError: it cannot, or takes too long.
        """
        try:
            await asyncio.wait_for(asyncio.shield(self._ready), READY_WITHIN)
        except TimeoutError:
            self.kill()
            raise StartupError("a worker takes too long to start") from None

    async def listening(self) -> None:
        """Wait until it accepts on the address it was told, or cannot any more."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._listening.wait(), READY_WITHIN)

    def heard(self, message: dict[str, Any]) -> None:
        """Note what a message of its says about it."""
        if "failed" in message:
            self.failed(message["failed"])
        self.generation = max(self.generation, message.get("ready", 0), message.get("reloaded", 0))
        self.prepared = max(self.prepared, message.get("prepared", 0), self.generation)
        if "listening" in message:
            self._listening.set()
        if "ready" in message and not self._ready.done():
            self._ready.set_result(None)

    def failed(self, why: str) -> None:
        """It will not start, or not go on."""
        self._listening.set()
        if not self._ready.done():
            self._ready.set_exception(StartupError(why))
            self._ready.exception()  # whether anybody waits or not

    def kill(self) -> None:
        """End it at once."""
        if self.living:
            self.process.kill()
