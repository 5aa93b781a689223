"""What scenes are played on: providers that are none, a real gateway before them, clients, and claims that must hold."""

from __future__ import annotations

import asyncio
import http.client
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent
from typing import Any, Final

import orjson

from extproc.config.load import load
from extproc.demo.provider import Provider
from extproc.errors import ExtprocError
from extproc.gateway import Options
from extproc.runtime import Runtime, compile_runtime
from extproc.supervisor import Supervisor, running
from extproc.telemetry import Log

_CLIENTS: Final = 16
"""At most so many at once."""
_WITHIN: Final = 30.0
"""Seconds a client waits for anything."""
_PLACE: Final = """
gateway: {port: 0, plain_port: null, tls: none, drain: 1s}
health: {port: null}
"""
"""What is not part of the story: free ports, no TLS on loopback."""


class NotSo(ExtprocError):
    """Something a scene claims does not hold."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client got. ``whole``: the answer was not cut off."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool


class Stage:
    """Where one scene is played.

    Args:
        options: which Envoy, where state is kept.
        say: prints a line.
    """

    def __init__(self, options: Options, say: Callable[[str], None]) -> None:
        self.options = options
        self.say = say
        self._threads = ThreadPoolExecutor(_CLIENTS)

    # the story

    def tell(self, text: str) -> None:
        """A paragraph."""
        self.say(f"\n{dedent(text).strip()}")

    def show(self, about: str, text: str) -> None:
        """Something to look at, under its name."""
        self.say(f"\n{about}\n{indent(dedent(text).strip(), '    ')}")

    def claim(self, text: str, holds: object) -> None:
        """Say that this is so.

        Raises:
            NotSo: it is not.
        """
        if not holds:
            raise NotSo(f"this should be so, and is not: {text}")
        self.say(f"  ok  {text}")

    # the players

    @asynccontextmanager
    async def provider(self, provider: Provider) -> AsyncIterator[str]:
        """A provider that listens meanwhile; its base URL."""
        port = await provider.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            await provider.stop()

    def runtime(self, config: str, environment: Mapping[str, str] | None = None) -> Runtime:
        """A configuration, compiled. Only the environment that is given counts."""
        with tempfile.TemporaryDirectory(prefix="extproc-") as folder:
            path = Path(folder) / "extproc.yaml"
            path.write_text(config + _PLACE, "utf-8")
            return compile_runtime(load(path, environment or {}))

    @asynccontextmanager
    async def gateway(
        self, config: str, environment: Mapping[str, str] | None = None
    ) -> AsyncIterator[tuple[Supervisor, int]]:
        """A gateway that runs meanwhile, and its port."""
        log = Log("text")
        log.quiet = True
        async with running(self.runtime(config, environment), log, self.options) as (supervisor, ports):
            yield supervisor, ports.listeners["main"]

    async def ask(
        self, port: int, body: Mapping[str, Any], path: str = "/v1/chat/completions",
        headers: Mapping[str, str] | None = None, told: Callable[[bytes], None] | None = None,
    ) -> Answer:  # fmt: skip
        """One request of a client of its own; ``told`` gets the events of its answer as they come, in another thread."""
        sent = {"content-type": "application/json", **(headers or {})}
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _ask, port, path, orjson.dumps(body), sent, told)

    def close(self) -> None:
        """The scene is over."""
        self._threads.shutdown(cancel_futures=True)


def _ask(port: int, path: str, body: bytes, headers: Mapping[str, str], told: Callable[[bytes], None] | None) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_WITHIN)
    status, found, got, whole = 0, {}, b"", False
    try:
        connection.request("POST", path, body, dict(headers))
        response = connection.getresponse()
        status = response.status
        found = {name.lower(): value for name, value in response.getheaders()}
        rest = b""
        while piece := response.read1(65536):
            got += piece
            *events, rest = (rest + piece).split(b"\n\n")
            if told:
                for each in events:
                    told(each)
        whole = True
    except (OSError, http.client.HTTPException):  # cut off
        pass
    finally:
        connection.close()
    return Answer(status, found, got, whole)


def chat(model: str, text: str, **more: Any) -> dict[str, Any]:
    """A streamed chat request."""
    return {"model": model, "stream": True, "messages": [{"role": "user", "content": text}], **more}
