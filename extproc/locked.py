"""One at a time: a block that only one process, and in it one thread, runs at once; and files that are never half there."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_LOCK: Final = ".lock"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until nobody else is in such a block for this folder, and keep others out.

    The system lets go of the lock of a process that dies, however it dies.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def put(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file so that whoever reads it finds all of it, or all of what was there before.

    Args:
        path: the file.
        data: what it is to hold.
        mode: its permissions, from the first byte on.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # for its owner alone
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
