"""Operations that only the configuration knows: which request is one of them, and where it goes.

What the gateway knows itself comes first, and a path under a `*` that some server could take for such an operation is none
of these: nothing that is inspected under its own name passes uninspected under another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

from extproc.config.load import Loaded
from extproc.config.operation import NamedOperation
from extproc.errors import Problem, Refused
from extproc.groups import Group
from extproc.operations import Asked, Passage, resembles

_SEGMENT: Final = r"[A-Za-z0-9_~-][A-Za-z0-9._~:-]{0,255}"
_REST: Final = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT}){{0,15}}", re.ASCII)
_VALUE: Final = re.compile(r"[A-Za-z0-9._~:,%+-]{0,256}", re.ASCII)
_PREFIX: Final = re.compile(
    r"(?:(?:/proxy)?/(?:openai|anthropic)|/gemini|/bedrock)?(?:/v1(?:beta|alpha)?)?(?=/)", re.ASCII
)
"""What clients say before a path that providers have below their base URL."""


@dataclass(frozen=True, slots=True)
class Named:
    """One operation. ``group`` is that of its provider, by name; empty: the body's model says which."""

    name: str
    config: NamedOperation
    group: str

    def rest(self, path: str) -> str | None:
        """What of a path the client has chosen; None where it is not this operation's."""
        if path in self.config.path:
            return "" if not path.endswith("*") else None
        for each in self.config.path:
            if each.endswith("*") and path.startswith(each[:-1]) and _REST.fullmatch(rest := path[len(each) - 1 :]):
                return None if resembles(path) else rest
        return None

    def asked(self, path: str, query: str, rest: str) -> Asked:
        """What a request for it asks.

        Raises:
            Refused: by a query that may not pass.
        """
        said = self._values(query)
        config = self.config
        below, target = _PREFIX.sub("", path, count=1), ""
        if config.target:
            front, between, fixed = config.target.partition("?")
            target = (front[:-1] + rest if config.open else front) + between + fixed
        if query:
            below += f"?{query}"
            target += f"{'&' if '?' in target else '?'}{query}" if target else ""
        words = (rest, *said) if config.scan == "generic" else ()
        passage = Passage(self.group, below, target, tuple(word for word in words if word))
        return Asked(self.name, config.scan, names_model=config.scan == "opaque", passage=passage)

    def _values(self, query: str) -> list[str]:
        found = []
        for pair in query.split("&") if query else ():
            name, _, value = pair.partition("=")
            if name not in self.config.query or not _VALUE.fullmatch(value):
                raise Refused(400, "unknown_parameter", "The query has a parameter that may not pass here.")
            found.append(unquote_plus(value))
        return found


@dataclass(frozen=True, slots=True)
class NamedOperations:
    """All of a configuration, in its order."""

    all: tuple[Named, ...] = ()

    def find(self, method: str, target: str) -> Asked | None:
        """The operation for a method and request target, or None.

        Raises:
            Refused: it is one, but not so.
        """
        path, _, query = target.partition("?")
        for each in self.all:
            rest = each.rest(path) if method in each.config.method else None
            if rest is not None:
                return each.asked(path, query, rest)
        return None

    @property
    def opaque(self) -> list[Named]:
        """Those into which nobody looks."""
        return [each for each in self.all if each.config.scan == "opaque"]


def compile_operations(loaded: Loaded, groups: Mapping[str, Group], problems: list[Problem]) -> NamedOperations:
    """Every operation of a configuration; ``groups`` those of single providers, by the providers' names."""
    found = []
    for name, config in loaded.config.operations.items():
        if config.to is None and config.scan == "opaque" and loaded.config.providers:
            message = "`scan: opaque` needs `to`: nobody reads which model the body names"
            problems.append(loaded.problem(("operations", name), message))
        elif config.to is not None and config.to not in loaded.config.providers:
            known = ", ".join(sorted(loaded.config.providers))
            message = f"there is no provider '{config.to}'; known: {known}"
            problems.append(loaded.problem(("operations", name, "to"), message))
        elif config.to is None or config.to in groups:
            found.append(Named(name, config, groups[config.to].name if config.to else ""))
    return NamedOperations(tuple(found))
