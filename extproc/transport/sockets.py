"""Unix sockets to listen on."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

from extproc.errors import StartupError


def bound(path: Path) -> socket.socket:
    """A Unix socket at ``path``, for its owner alone, in place of one that a process that is gone has left there.

    It listens: connections wait in it while there is nobody to accept them.

    Raises:
        StartupError: the path cannot be had.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # for its owner alone from the first moment
    try:
        listener.bind(str(path))
        listener.listen(512)
    except OSError as error:
        listener.close()
        raise StartupError(f"cannot listen on {path}: {error.strerror or error}") from None
    finally:
        os.umask(before)
    listener.setblocking(False)
    return listener


def remove_stale(path: Path) -> None:
    """Remove a socket; anything else at that path stays."""
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
        path.unlink()
