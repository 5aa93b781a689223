"""Versions of Envoy: which can carry us, what to mind with which, and how their configuration differs.

Everything here was seen with the real binaries (tests/e2e/test_versions.py, docs/envoy-versions.md).
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from extproc.envoy import types
from extproc.errors import StartupError
from extproc.runtime import Runtime

Version = tuple[int, int]

OLDEST: Final[Version] = (1, 36)
NEWEST: Final[Version] = (1, 40)
"""Of those that are tested."""
_ROUTES_LIMIT_BODIES: Final[Version] = (1, 37)
_FILTERS_WAIT_FOR_EACH_OTHER: Final[Version] = (1, 39)
_NONE_YET: Final[Version] = (1000, 0)

GATEWAY: Final = "gateway"
GUARD: Final = "guard"
SHADOW: Final = "shadow"
FAILOVER: Final = "failover"
OTHERS_BEFORE: Final = "ext_proc-before"
"""Somebody else's ext_proc filter before ours in the chain."""
OTHERS_AFTER: Final = "ext_proc-after"
"""The same, behind ours."""


@dataclass(frozen=True, slots=True)
class _Caution:
    """Versions before ``until`` do this to those who use one of ``uses``."""

    until: Version
    uses: frozenset[str]
    sentence: str


_CAUTIONS: Final = (
    # 1.36 has the field request_body_buffer_limit, and refuses bodies over the connection's limit all the same
    _Caution(
        _ROUTES_LIMIT_BODIES,
        frozenset({GATEWAY, GUARD}),
        "only the connection's limit says how large a request may be, so Envoy is told to buffer up to gateway.max_body "
        "for every connection, also of answers whose reader is slow",
    ),
    # 200 and half a stream or nothing, then a clean end: of long streams up to every second one. Nothing uninspected comes.
    # From 1.39 on only where the other filter is shown no bodies of answers
    _Caution(
        _NONE_YET,
        frozenset({OTHERS_BEFORE}),
        "with another ext_proc filter before this one streamed answers can get lost or be cut short, and it looks like their "
        "end: put this one first",
    ),
    _Caution(
        _FILTERS_WAIT_FOR_EACH_OTHER,
        frozenset({OTHERS_AFTER}),
        "with another ext_proc filter behind this one that is shown the bodies of answers as they stream, a streamed answer "
        "can get lost, and it looks like its end: do not show it these, or take 1.39 or later",
    ),
)


def cautions(version: str, uses: Collection[str] = (GATEWAY,)) -> list[str]:
    """What to mind with this Envoy, one sentence each.

    Args:
        version: such as ``1.38`` or ``1.38.3``, or what ``envoy --version`` prints; empty: not known.
        uses: what of us is used: GATEWAY, GUARD, SHADOW, FAILOVER, OTHERS_BEFORE, OTHERS_AFTER. Others are ignored.

    Raises:
        StartupError: it cannot carry us, or is no version.
    """
    if not version:
        return ["this Envoy does not say which version it is: it is taken for the newest that was tested"]
    number = check(version)
    name = _name(number)
    found = [f"Envoy {name}: {each.sentence}" for each in _CAUTIONS if number < each.until and each.uses & set(uses)]
    if number > NEWEST:
        found.append(f"Envoy {name} is newer than the newest that was tested ({_name(NEWEST)})")
    return found


def check(version: str) -> Version:
    """Its first two numbers.

    Raises:
        StartupError: it cannot carry us, or is no version.
    """
    found = re.search(r"(?:^|[/v])(\d+)\.(\d+)(?:\.\d+)?(?:[-+/]|$)", version.strip())
    if found is None:
        raise StartupError(f"{version!r} is no version of Envoy; one is {_name(NEWEST)}")
    number = int(found[1]), int(found[2])
    if number < OLDEST:
        # FULL_DUPLEX_STREAMED and status_on_error, on which it stands that nothing passes uninspected
        raise StartupError(f"Envoy {_name(number)} cannot carry llm-extproc: it takes {_name(OLDEST)} or later")
    return number


def of(binary: Path) -> str:
    """The version of an Envoy, such as ``1.40.0``; empty where it does not say."""
    try:
        done = subprocess.run([str(binary), "--version"], capture_output=True, text=True, check=False, timeout=60)
    except OSError as error:
        raise StartupError(f"{binary} cannot be run: {error.strerror}") from None
    found = re.search(r"version:\s*[0-9a-f]+/(\d+\.\d+\.\d+)", done.stdout)
    return found[1] if found else ""


def uses(runtime: Runtime) -> set[str]:
    """What of us a gateway with this configuration uses."""
    return {GATEWAY, *((FAILOVER,) if any(len(group.backends) > 1 for group in runtime.groups) else ())}


def connection_buffer(version: str, max_body: int) -> int:
    """Bytes that Envoy may buffer of a connection (see ``_CAUTIONS``)."""
    return max(types.BUFFER, max_body) if version and check(version) < _ROUTES_LIMIT_BODIES else types.BUFFER


def _name(version: Version) -> str:
    return ".".join(map(str, version))
