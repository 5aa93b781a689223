"""The event loop everything runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from extproc.errors import StartupError


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
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)
