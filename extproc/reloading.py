"""Reading the configuration again while it is in force: validate all of it, then swap. A bad one changes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from extproc.config.load import Loaded
from extproc.errors import ConfigError, StartupError
from extproc.metrics import Totals
from extproc.pool import Pool
from extproc.runtime import Runtime, compile_runtime
from extproc.telemetry import Log

_LONGEST: Final = 600.0
"""Seconds that the longest answer may take where others say so."""
PROCESSOR_RESTART: Final = ("bind", "tls", "transport", "workers")
"""Settings of the processor that workers have from their start."""


class Reloading(ABC):
    """What has a configuration that may change.

    Args:
        runtime: the first one.
        log: where it says what came of reading it again.
        read: reads it again; None where it never changes.
    """

    def __init__(self, runtime: Runtime, log: Log, read: Callable[[], Loaded] | None) -> None:
        self.runtime = runtime
        self.totals = Totals()
        self._log = log
        self._read_again = read
        self._reloading = asyncio.Lock()
        self._digest = _digest(runtime)

    pool: Pool
    """Its workers."""

    @abstractmethod
    def _check(self, runtime: Runtime) -> None:
        """See that a configuration can be put in force here. Not in the event loop.

        Raises:
            ConfigError, StartupError: it cannot.
        """

    @abstractmethod
    async def _swap(self, runtime: Runtime) -> None:
        """Put it in force."""

    async def _watch_files(self) -> None:
        seen = before = _signature(self.runtime)
        while True:
            await asyncio.sleep(0.5)
            now = _signature(self.runtime)
            if now != before:
                before = now  # still being written, perhaps: wait until it has been the same twice
            elif now != seen:
                seen = now
                await self.reload()
                seen = before = _signature(self.runtime)

    async def _reload_safely(self) -> bool:
        try:
            return await self._reload()
        except Exception as error:  # the watcher must outlive whatever one reload runs into
            self.totals.own.add("extproc_reloads", "failed")
            self._log.notice("reload-failed", "the configuration could not be read again", why=type(error).__name__)
            return False

    async def reload(self) -> bool:
        """Read the configuration again: validate all of it, then clusters, routes, workers. A bad one changes nothing."""
        async with self._reloading:
            return await self._reload_safely()

    async def restart_workers(self) -> bool:
        """Replace the workers by new ones, one after the other, while all requests go on being served."""
        async with self._reloading:
            try:  # nobody waits for the old ones to end
                await self.pool.replace_all(max((each.timeout for each in self.runtime.groups), default=_LONGEST))
            except StartupError as error:
                self._log.notice("restart-failed", "the workers in place go on", why=str(error))
                return False
            self._log.notice("restarted", "all workers are new ones; the old ones end when their answers have")
            return True

    async def _reload(self) -> bool:
        try:
            runtime = await asyncio.to_thread(self._read)
        except (ConfigError, StartupError) as error:
            self.totals.own.add("extproc_reloads", "refused")
            problems = [str(each) for each in error.problems] if isinstance(error, ConfigError) else [str(error)]
            for problem in problems:
                self._log.notice("reload-refused", "the configuration in force stays", why=problem)
            return False
        if runtime is None:
            self.totals.own.add("extproc_reloads", "unchanged")
            self._log.notice("reload-unchanged", "the configuration is the same", generation=self.runtime.generation)
            return True
        await self._swap(runtime)
        return True

    def _read(self) -> Runtime | None:
        """The configuration as it is now, compiled and checked; None where nothing has changed."""
        before = self.runtime
        digest = _digest(before)
        if self._read_again is None or digest == self._digest:
            return None
        runtime = compile_runtime(self._read_again(), before.generation + 1, before.packs, before)
        self._check(runtime)
        self._digest = digest
        return runtime

    def _tell_what_waits(self, runtime: Runtime, section: str, names: tuple[str, ...]) -> None:
        """Say which changed settings wait for a restart."""
        before, now = getattr(self.runtime.config, section), getattr(runtime.config, section)
        for name in names:
            if getattr(now, name) != getattr(before, name):
                self._log.notice(
                    "needs-restart", "changed, but in force only after a restart", field=f"{section}.{name}"
                )

    def _put_in_force(self, runtime: Runtime) -> None:
        """It is what new exchanges get."""
        self.runtime = runtime
        self.totals.own.add("extproc_reloads", "done")
        self._log.notice("reloaded", "a new configuration is in force", generation=runtime.generation)


def _digest(runtime: Runtime) -> bytes:
    """What all the files of a configuration say."""
    digest = hashlib.sha256()
    for path in runtime.loaded.inputs():
        with contextlib.suppress(OSError):
            digest.update(str(path).encode() + b"\0" + (path.read_bytes() if path.is_file() else b""))
    return digest.digest()


def _signature(runtime: Runtime) -> list[tuple[str, int, int, int]]:
    """What shows that one of the files a configuration is made of has changed, also by an editor's rename."""
    found = []
    for path in runtime.loaded.inputs():
        try:
            stat = path.stat()
        except OSError:
            found.append((str(path), 0, 0, 0))
        else:
            found.append((str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return found
