"""Changing a running gateway's configuration file, in the ways people and editors do it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import yaml

from tests.e2e.faults import metric, until
from tests.e2e.gateway import Running


def rewrite(gateway: Running, change: Callable[[dict[str, Any]], object], *, rename: bool = False) -> None:
    """Change the file, in place or as editors do: a new file, renamed over it."""
    path = gateway.folder / "extproc.yaml"
    value = yaml.safe_load(path.read_text())
    change(value)
    if rename:
        new = path.with_suffix(".new")
        new.write_text(yaml.safe_dump(value))
        new.replace(path)
    else:
        path.write_text(yaml.safe_dump(value))


def generation(gateway: Running) -> float:
    return metric(gateway, "extproc_generation")


def reload(gateway: Running, change: Callable[[dict[str, Any]], object], *, rename: bool = False) -> None:
    """Change the file; returns when the new configuration is in force."""
    before = generation(gateway)
    rewrite(gateway, change, rename=rename)
    gateway.signal(signal.SIGHUP)
    until(lambda: generation(gateway) > before, "the new configuration is in force")
