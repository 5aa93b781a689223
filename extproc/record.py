"""What running gateways leave in their state folder, so that other commands find them: a file each, in ``gateways``.

A gateway keeps its file locked for as long as it runs. So a file that nobody has locked is of one that was killed, whatever
process has its number today.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import orjson

from extproc.clients import Reach
from extproc.errors import StartupError
from extproc.locked import alone

_FOLDER: Final = "gateways"


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway: its process, how clients reach it, and its configuration file (empty for none)."""

    pid: int
    reach: Reach
    config: str

    def __str__(self) -> str:
        return f"process {self.pid} at {self.reach.url} with {self.config or 'no configuration file'}"


@contextmanager
def recorded(state: Path, reach: Reach, config: str) -> Iterator[None]:
    """Say where this process's gateway is, for as long as the block lasts.

    Args:
        state: the state folder.
        reach: how clients reach it.
        config: the configuration file's path; empty for none.
    """
    folder = state / _FOLDER
    path = folder / f"{os.getpid()}.json"
    about = {"pid": os.getpid(), "url": reach.url, "bundle": reach.bundle, "signed": reach.signed, "config": config}
    with alone(folder):
        _forget_killed(folder)
        temporary = path.with_suffix(".new")
        with temporary.open("wb") as written:
            written.write(orjson.dumps(about))
        file = temporary.open("rb")
        fcntl.flock(file, fcntl.LOCK_EX)
        temporary.replace(path)  # locked before anybody can see it
    try:
        yield
    finally:
        with alone(folder):
            path.unlink(missing_ok=True)
        file.close()


def _forget_killed(folder: Path) -> None:
    for path in folder.glob("*.json"):
        with path.open("rb") as file:
            if not _runs(file):
                path.unlink()


def _runs(file: IO[bytes]) -> bool:
    """Whether somebody keeps this file locked."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def find(state: Path, *, config: str = "", pid: int = 0, usual: str = "") -> Gateway:
    """The running gateway that is meant.

    Args:
        state: the state folder.
        config: the configuration file it has to use; empty for any.
        pid: its process; 0 for any.
        usual: of several, the one with this configuration file is meant.

    Raises:
        StartupError: none is running, or not that one, or several are and nothing says which.
    """
    running = _all(state / _FOLDER)
    if not running:
        raise StartupError(f"no gateway of this state folder is running ({state})")
    fit = [each for each in running if config in ("", each.config) and pid in (0, each.pid)]
    if not fit:
        raise StartupError(_none(running, config, pid))
    if len(fit) > 1:
        fit = [each for each in fit if usual and each.config == usual] or fit
    if len(fit) > 1:
        listed = "; ".join(map(str, fit))
        raise StartupError(f"{len(fit)} gateways of this state folder are running; say --pid or --config: {listed}")
    return fit[0]


def _none(running: list[Gateway], config: str, pid: int) -> str:
    if len(running) == 1 and config and not pid:
        return f"the running gateway uses {running[0].config or 'no configuration file'}, not {config}"
    wanted = " and ".join([*([f"process {pid}"] if pid else []), *([config] if config else [])])
    return f"no running gateway is {wanted}; there are: {'; '.join(map(str, running))}"


def _all(folder: Path) -> list[Gateway]:
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            with path.open("rb") as file:
                if _runs(file):
                    found.append(_read(orjson.loads(file.read())))
        except FileNotFoundError:  # it has ended this very moment
            continue
        except (OSError, ValueError, TypeError, KeyError):
            raise StartupError(f"a running gateway has not said where it is ({path})") from None
    return found


def _read(about: Any) -> Gateway:
    reach = Reach(str(about["url"]), str(about["bundle"]), bool(about["signed"]))
    return Gateway(int(about["pid"]), reach, str(about["config"]))


def tell(gateway: Gateway, number: int) -> None:
    """Send a gateway a signal.

    Raises:
        StartupError: it has ended, or is not ours.
    """
    try:
        os.kill(gateway.pid, number)
    except OSError as error:
        raise StartupError(f"process {gateway.pid} cannot be told: {error.strerror}") from None
