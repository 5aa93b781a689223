"""The event loop everything runs on, and what the process asks of the C library first."""

from __future__ import annotations

import asyncio
import ctypes
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final

from extproc.errors import StartupError

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
_LARGE: Final = 1 << 19


def give_memory_back() -> None:
    """Let glibc return large blocks to the system when they are freed.

    By itself it raises its threshold to the largest block it has ever seen freed, and keeps what one large body needed.
    """
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # another C library
            mallopt = ctypes.CDLL(None).mallopt
            for option, value in ((_MMAP_THRESHOLD, _LARGE), (_TRIM_THRESHOLD, _LARGE), (_ARENA_MAX, 2)):
                mallopt(option, value)


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run to the end on uvloop.

    Raises:
        StartupError: it is not installed.
    """
    try:
        import uvloop
    except ImportError as error:
        main.close()
        raise StartupError("uvloop is not installed; it exists for Linux and macOS") from error
    give_memory_back()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)
