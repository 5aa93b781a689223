"""What a running gateway leaves in its state folder, so that other commands find it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import orjson

from extproc.clients import Reach
from extproc.errors import StartupError

_PID: Final = "pid"
_REACH: Final = "gateway.json"


@contextmanager
def recorded(state: Path, reach: Reach, config: str) -> Iterator[None]:
    """Say where this process's gateway is, for as long as the block lasts.

    Args:
        state: the state folder.
        reach: how clients reach it.
        config: the configuration file's path; empty for none.
    """
    state.mkdir(parents=True, exist_ok=True)
    about = {"url": reach.url, "bundle": reach.bundle, "signed": reach.signed, "config": config}
    (state / _REACH).write_bytes(orjson.dumps(about))
    (state / _PID).write_text(str(os.getpid()), "utf-8")
    try:
        yield
    finally:
        (state / _PID).unlink(missing_ok=True)
        (state / _REACH).unlink(missing_ok=True)


def tell(state: Path, number: int) -> int:
    """Send the running gateway a signal (0: none); returns its process id.

    Raises:
        StartupError: none is running.
    """
    path = state / _PID
    try:
        pid = int(path.read_text("utf-8"))
        os.kill(pid, number)
    except (OSError, ValueError):
        raise StartupError(f"no gateway of this state folder is running ({path})") from None
    return pid


def recall(state: Path, config: str = "") -> Reach:
    """How the running gateway is reached.

    Args:
        state: the state folder.
        config: the configuration file it has to use; empty for any.

    Raises:
        StartupError: none is running, or one with another configuration.
    """
    tell(state, 0)
    try:
        about = orjson.loads((state / _REACH).read_bytes())
        found = Reach(str(about["url"]), str(about["bundle"]), bool(about["signed"]))
        used = str(about["config"])
    except (OSError, ValueError, TypeError, KeyError):
        raise StartupError(f"the running gateway has not said where it is ({state / _REACH})") from None
    if config and used != config:
        raise StartupError(f"the running gateway uses {used or 'no configuration file'}, not {config}")
    return found
