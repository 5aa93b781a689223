"""Where in a cluster the processor is, and what all its Kubernetes objects have in common."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from typing import Final

from extproc.envoy.types import Json
from extproc.errors import StartupError

PORT: Final = 18080
"""Where the processor listens for Envoy."""
HEALTH: Final = 8081
"""Where it answers probes and scrapers."""

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LABEL: Final = re.compile(r"([A-Za-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Place:
    """Name and namespace of the processor's objects."""

    name: str
    namespace: str

    @property
    def host(self) -> str:
        """The Service's name, as it is known in the whole cluster."""
        return f"{self.name}.{self.namespace}.svc.cluster.local"

    @property
    def pods(self) -> str:
        """The name that resolves to every pod, for an Envoy that balances between them itself."""
        return f"{self.name}-pods.{self.namespace}.svc.cluster.local"

    @property
    def labels(self) -> Json:
        """What selects its pods."""
        return {"app.kubernetes.io/name": self.name}

    def object(self, version: str, kind: str, name: str = "", **more: Json) -> Json:
        """An object of this place."""
        metadata = {"name": name or self.name, "namespace": self.namespace, "labels": self.labels}
        return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options that name the place."""
    parser.add_argument(
        "--name", metavar="NAME", default="llm-extproc", help="name of the processor's objects (llm-extproc)"
    )
    parser.add_argument(
        "--processor-namespace", metavar="NAMESPACE", default="llm-extproc",
        help="where the processor is (llm-extproc)",
    )  # fmt: skip


def place_of(options: argparse.Namespace) -> Place:
    """What the options say.

    Raises:
        StartupError: a name that Kubernetes would not take.
    """
    return Place(named(options.name, "--name"), named(options.processor_namespace, "--processor-namespace"))


def named(text: str, option: str) -> str:
    """A name of an object, checked.

    Raises:
        StartupError: Kubernetes would not take it.
    """
    if not _NAME.fullmatch(text):
        raise StartupError(f"{option} {text!r}: a name has lower-case letters, digits and hyphens, at most 63")
    return text


def selector(texts: list[str], option: str) -> dict[str, str]:
    """Labels from ``app=x`` texts.

    Raises:
        StartupError: one is not of that form.
    """
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not _LABEL.fullmatch(key) or not re.fullmatch(r"[A-Za-z0-9_.-]{1,63}", value):
            raise StartupError(f"{option} {text!r}: say it as LABEL=VALUE")
        found[key] = value
    return found
