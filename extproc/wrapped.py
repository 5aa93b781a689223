"""A command beside a gateway: it has the terminal, the signals and the last word; the gateway's own words go elsewhere.

The command stays in our process group, so that the terminal's Ctrl-C and Ctrl-Z reach it as they always do.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from extproc.errors import StartupError

NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126
"""As shells say it."""
_PASSED: Final = (
    signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2,
)  # fmt: skip
_FROM_KEYBOARD: Final = (signal.SIGINT, signal.SIGQUIT)


@dataclass(frozen=True, slots=True)
class Outputs:
    """File descriptors of what were standard output and error before the gateway's were put in their place."""

    out: int
    err: int


@contextmanager
def elsewhere(log: int) -> Iterator[Outputs]:
    """Let this process, and what it starts, write to the file descriptor ``log`` for as long as the block lasts."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = Outputs(os.dup(1), os.dup(2))
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        yield kept
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(kept.out, 1)
        os.dup2(kept.err, 2)
        os.close(kept.out)
        os.close(kept.err)


def open_log(name: str | None) -> IO[bytes]:
    """A file for the gateway's log: of this name, added to; else one that is gone when it is closed.

    Raises:
        StartupError: it cannot be opened.
    """
    try:
        return Path(name).open("ab") if name else tempfile.TemporaryFile()
    except OSError as error:
        raise StartupError(f"{name}: {error.strerror}") from None


def missing(program: str, path: str | None) -> int:
    """The status that says why a program cannot be run; 0 if it can.

    Args:
        program: a name to look for, or a path.
        path: the PATH to look in.
    """
    if shutil.which(program, path=path):
        return 0
    return NOT_EXECUTABLE if "/" in program and Path(program).exists() else NOT_FOUND


class Wrapped:
    """A command to run. Made before the gateway starts, it keeps every signal that comes in the meantime."""

    def __init__(self, command: Sequence[str], outputs: Outputs) -> None:
        self._command = command
        self._outputs = outputs
        self._signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        for each in _PASSED:
            if signal.getsignal(each) is not signal.SIG_IGN:  # nohup means the command, too
                loop.add_signal_handler(each, self._signals.put_nowait, each)

    async def run(self, environment: Mapping[str, str]) -> int:
        """Run it to its end in this environment; returns its exit status.

        That is 128 and the signal's number if a signal ended it, or came before it began.

        Raises:
            StartupError: the system does not run it.
        """
        if not self._signals.empty():
            return 128 + self._signals.get_nowait()
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, env=environment, stdout=self._outputs.out, stderr=self._outputs.err
            )
        except OSError as error:
            raise StartupError(f"{self._command[0]} cannot be run: {error.strerror}") from None
        passing = asyncio.ensure_future(self._pass_on(process))
        try:
            status = await process.wait()
        finally:
            passing.cancel()
        return status if status >= 0 else 128 - status

    async def _pass_on(self, process: asyncio.subprocess.Process) -> None:
        while True:
            number = await self._signals.get()
            if number in _FROM_KEYBOARD and _in_foreground():
                continue  # the terminal has sent it to the command as well
            with suppress(ProcessLookupError):
                process.send_signal(number)


def _in_foreground() -> bool:
    """Whether our process group is the one that the terminal, if there is one, sends its signals to."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
