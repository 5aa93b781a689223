"""What every target of ``extproc render`` is given, and what it gives back."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import yaml

from extproc.envoy.processor import Processor
from extproc.envoy.types import Json
from extproc.runtime import Runtime


class Variant(StrEnum):
    """How the processor is attached."""

    GATEWAY = "gateway"
    """Everything: routes, keys, conversion, policies."""
    GUARD = "guard-only"
    """One filter on traffic that others route."""
    SHADOW = "shadow"
    """One filter that sees such traffic and can touch nothing."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be rendered.

    ``processor`` is where Envoy finds the processor; ``run`` and ``state`` are folders for what a gateway on this machine
    has; ``options`` are all options of the command, the target's own among them.
    """

    runtime: Runtime
    variant: Variant
    processor: Processor
    run: Path
    state: Path
    options: argparse.Namespace


Files = Mapping[str, str]
"""Names of files to their texts, in the order in which they are to be applied."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something that configuration can be rendered for.

    ``arguments`` adds the target's own options; ``render`` makes the files, and raises ``ConfigError`` or ``StartupError``
    for what cannot be; ``variants`` are those it has. ``first`` is asked before the configuration is read: it refuses
    options that make no sense together (``options.wrong(message)``), and may give files that need no configuration.
    """

    text: str
    render: Callable[[Wanted], Files]
    arguments: Callable[[argparse.ArgumentParser], None] = lambda _: None
    variants: frozenset[Variant] = frozenset(Variant)
    first: Callable[[argparse.Namespace], Files | None] = lambda _: None


class Plain(yaml.SafeDumper):
    """Writes everything out: no anchors, which people and some tools trip over; lists stand further in than their key."""

    def ignore_aliases(self, data: object) -> bool:
        """See PyYAML."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """See PyYAML."""
        super().increase_indent(flow, False)


def yaml_of(value: object) -> str:
    """As people would write it."""
    return yaml.dump(value, Dumper=Plain, sort_keys=False, width=120, allow_unicode=True)


def documents(objects: Iterable[Json], head: str = "") -> Files:
    """Kubernetes objects, a file each, numbered in the order in which they are to be applied.

    Args:
        head: comment lines (each with its ``# `` and line end) that every file begins with.
    """
    return {
        f"{index:02d}-{each['kind'].lower()}-{each['metadata']['name']}.yaml": head + yaml_of(each)
        for index, each in enumerate(objects)
    }
