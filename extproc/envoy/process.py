"""One Envoy process: checked, started, watched until it is ready, stopped."""

from __future__ import annotations

import asyncio
import ctypes
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Any, Final

import orjson

from extproc.envoy.layout import Layout
from extproc.errors import StartupError

_READY_WITHIN: Final = 20.0
_STOP_WITHIN: Final = 5.0
_PR_SET_PDEATHSIG: Final = 1


def validate(binary: Path, bootstrap: Path) -> None:
    """Let Envoy itself check a file.

    Raises:
        StartupError: with Envoy's own words.
    """
    command = [str(binary), "--mode", "validate", "-c", str(bootstrap), "-l", "error"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise StartupError(f"Envoy refuses its configuration:\n{done.stderr.strip() or done.stdout.strip()}")


def die_with_parent() -> None:
    """On Linux a child can ask to be ended with its parent, so that a killed gateway leaves nothing behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Envoy:
    """A running Envoy.

    Args:
        binary: the executable.
        layout: where its files are; they must have been written.
        access: where its access log goes (its own warnings go to standard error).
        threads: worker threads; None for one a core.
    """

    def __init__(
        self, binary: Path, layout: Layout, access: IO[bytes] | int = subprocess.DEVNULL, threads: int | None = None
    ) -> None:
        self._binary = binary
        self._layout = layout
        self._access = access
        self._threads = [] if threads is None else ["--concurrency", str(threads)]
        self._process: asyncio.subprocess.Process | None = None
        self.ports: dict[str, int] = {}
        """Ports by listener name, once ready."""

    async def start(self) -> None:
        """Start, and wait until all listeners are up.

        Raises:
            StartupError: it ended or did not become ready in time.
        """
        self._layout.admin.unlink(missing_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            str(self._binary), "-c", str(self._layout.bootstrap), "--use-dynamic-base-id", "-l", "warning",
            "--component-log-level", "main:error",
            "--log-format", "[envoy %l] %v", "--admin-address-path", str(self._layout.admin),
            "--drain-time-s", "2", "--parent-shutdown-time-s", "6",
            "--file-flush-interval-msec", "1000", *self._threads,
            stdout=self._access,
            start_new_session=True,  # Ctrl-C is for the supervisor, which lets answers end first
            preexec_fn=die_with_parent,
        )  # fmt: skip
        try:
            await asyncio.wait_for(self._ready(), _READY_WITHIN)
        except TimeoutError:
            await self.stop()
            raise StartupError(f"Envoy was not ready within {_READY_WITHIN:.0f} seconds") from None

    async def _ready(self) -> None:
        while True:
            if self._process is None or self._process.returncode is not None:
                raise StartupError("Envoy ended while starting; its own words are above")
            if self._layout.admin.is_file() and (host := self._layout.admin.read_text("utf-8").strip()):
                try:
                    if await _get(host, "/ready") == b"LIVE\n":
                        await _refuse_rejected(host)
                        self.ports = _ports(orjson.loads(await _get(host, "/listeners?format=json")))
                        await self.require_listeners()
                        return
                except OSError:
                    pass
            await asyncio.sleep(0.02)

    async def require_listeners(self) -> None:
        """See that no listener is missing.

        Of two processes that bind a port at the same moment one fails when it listens: Envoy drops that listener and goes on.

        Raises:
            StartupError: one is.
        """
        if await self.stat("listener_manager.listener_create_failure"):
            raise StartupError("Envoy cannot listen where it was told to; its own words are above")

    async def wait(self) -> int:
        """Wait until it ends; returns its exit status."""
        return await self._process.wait() if self._process else 0

    @property
    def pid(self) -> int:
        """Its process id, or 0."""
        return self._process.pid if self._process else 0

    async def stat(self, name: str) -> int:
        """One of its counters or gauges; 0 where it cannot be asked."""
        text = await self._admin("GET", f"/stats?filter=^{name}$")
        value = text.decode().rpartition(": ")[2].strip()
        return int(value) if value.isdigit() else 0

    async def active(self) -> int:
        """Requests under way."""
        text = await self._admin("GET", "/stats?filter=downstream_rq_active$")
        pairs = [line.partition(": ") for line in text.decode().splitlines()]
        return sum(int(value) for name, _, value in pairs if not name.startswith("http.admin"))

    async def drain(self) -> None:
        """Ask clients to come back over other connections, without cutting anything."""
        await self._admin("POST", "/healthcheck/fail")
        await self._admin("POST", "/drain_listeners")

    async def _admin(self, method: str, path: str) -> bytes:
        try:
            return await _get(self._layout.admin.read_text("utf-8").strip(), path, method)
        except OSError:
            return b""

    async def stop(self) -> None:
        """End it: politely, then for certain."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_WITHIN)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _refuse_rejected(host: str) -> None:
    """Envoy starts without the clusters and routes it does not like; we do not."""
    stats = await _get(host, "/stats?filter=update_rejected")
    for line in stats.decode().splitlines():
        name, _, count = line.partition(": ")
        if count.strip() not in ("", "0"):
            raise StartupError(f"Envoy refuses part of its configuration ({name}); its own words are above")


def _ports(listeners: Any) -> dict[str, int]:
    return {
        each["name"]: int(each["local_address"]["socket_address"]["port_value"])
        for each in listeners["listener_statuses"]
    }


async def _get(host: str, path: str, method: str = "GET") -> bytes:
    """One request to the admin interface."""
    address, _, port = host.rpartition(":")
    reader, writer = await asyncio.open_connection(address.strip("[]"), int(port))
    try:
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
        if b"chunked" in head.lower():
            body = _unchunk(body)
        return body
    finally:
        writer.close()


def _unchunk(body: bytes) -> bytes:
    out = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            break
        out, body = out + rest[:length], rest[length + 2 :]
    return out
