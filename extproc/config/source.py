"""Reading YAML with positions: a tree of plain values, and for every path in it the file, line and column.

Owns: YAML itself (the 1.2 core booleans only, so that ``on`` and ``no`` stay words), duplicate and non-string keys,
includes, and the merge of several files. Knows nothing of what the keys mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from extproc.errors import ConfigError, Problem

Keys = tuple[str | int, ...]

_MAX_DEPTH: Final = 32


@dataclass(slots=True)
class Place:
    """Where a value stands; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(slots=True)
class Source:
    """Merged values of one or more files, and where each path stands."""

    tree: dict[str, Any] = field(default_factory=dict)
    places: dict[Keys, Place] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)

    def place(self, keys: Keys) -> Place | None:
        """The place of the value at ``keys`` or of the nearest value around it."""
        for end in range(len(keys), -1, -1):
            if keys[:end] in self.places:
                return self.places[keys[:end]]
        return None

    def problem(self, keys: Keys, message: str) -> Problem:
        """A problem with the value at ``keys``."""
        place = self.place(keys)
        path = ".".join(str(key) for key in keys)
        return Problem(message, place.file, place.line, place.column, path) if place else Problem(message, path=path)


# types of YAML 1.1 only: to YAML 1.2, and to people, such values are words
_WORDS: Final = ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {  # noqa: RUF012  PyYAML's own class-level registry
        first: [(tag, expression) for tag, expression in pairs if tag not in _WORDS]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|false|True|False|TRUE|FALSE)$"), list("tTfF")
)


def scalar(text: str) -> Any:
    """What a text from elsewhere (the environment) would mean in the file; itself where it is not YAML."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506  a SafeLoader
    except (yaml.YAMLError, ValueError):
        return text


def read(path: Path) -> Source:
    """Read a file and everything it includes.

    Raises:
        ConfigError: unreadable, not YAML, duplicate keys (both places are named), include loops.
    """
    source = Source()
    _read_into(source, path, ())
    return source


def _read_into(source: Source, path: Path, above: tuple[Path, ...]) -> None:
    path = path.resolve()
    if path in above:
        raise ConfigError([Problem("includes itself", _shown(path))])
    source.files.append(path)
    try:
        node = yaml.compose(path.read_text("utf-8"), _Loader)
    except OSError as error:
        raise ConfigError([Problem(error.strerror or "cannot be read", _shown(path))]) from None
    except UnicodeDecodeError:
        raise ConfigError([Problem("is not UTF-8", _shown(path))]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise ConfigError([Problem(error.problem or "is not YAML", _shown(path), line, column)]) from None
    except yaml.YAMLError:
        raise ConfigError([Problem("is not YAML", _shown(path))]) from None
    if node is None:
        return
    tree = _Builder(_shown(path)).build(node)
    includes = _includes(tree, path)
    _merge(source, tree)
    for included in includes:
        _read_into(source, included, (*above, path))


def _includes(tree: _Tree, path: Path) -> list[Path]:
    value = tree.pop("include", [])
    found: list[Path] = []
    for pattern in value if isinstance(value, list) else [value]:
        place = tree.places["include",]
        try:
            files = sorted(path.parent.glob(pattern if isinstance(pattern, str) else ""))
        except (ValueError, NotImplementedError):
            text = "include: must name files, or patterns of names, relative to this file"
            raise ConfigError([Problem(text, place.file, place.line, place.column)]) from None
        if not files and not set(pattern) & set("*?["):
            text = f"include: there is no file '{pattern}'"
            raise ConfigError([Problem(text, place.file, place.line, place.column)])
        found += files
    return found


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


class _Tree(dict[str, Any]):
    """A mapping that remembers where its keys and values stand."""

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[Keys, Place] = {}


class _Builder:
    def __init__(self, file: str) -> None:
        self.file = file
        self.constructor = yaml.constructor.SafeConstructor()

    def build(self, node: yaml.Node) -> _Tree:
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError([self._problem(node, "the file must be a mapping (key: value)")])
        tree = _Tree()
        for key, value in self._pairs(node):
            tree[key] = self._value(value, (key,), tree.places)
        tree.places[()] = self._place(node)
        return tree

    def _pairs(self, node: yaml.MappingNode) -> Iterator[tuple[str, yaml.Node]]:
        seen: dict[str, Place] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != "tag:yaml.org,2002:str":
                raise ConfigError([self._problem(key_node, "a key must be text; put it in quotes")])
            key = str(key_node.value)
            if key in seen:
                raise ConfigError([self._problem(key_node, f"'{key}' stands here again; first at {seen[key]}")])
            seen[key] = self._place(key_node)
            yield key, value_node

    def _value(self, node: yaml.Node, keys: Keys, places: dict[Keys, Place]) -> Any:
        if len(keys) > _MAX_DEPTH:  # also ends an alias that contains itself
            raise ConfigError([self._problem(node, f"nested deeper than {_MAX_DEPTH}")])
        places[keys] = self._place(node)
        if isinstance(node, yaml.MappingNode):
            return {key: self._value(value, (*keys, key), places) for key, value in self._pairs(node)}
        if isinstance(node, yaml.SequenceNode):
            return [self._value(value, (*keys, index), places) for index, value in enumerate(node.value)]
        try:
            return self.constructor.construct_object(node)
        except (yaml.YAMLError, ValueError):
            raise ConfigError([self._problem(node, "is not a value YAML's core types know")]) from None

    def _place(self, node: yaml.Node) -> Place:
        return Place(self.file, node.start_mark.line + 1, node.start_mark.column + 1)

    def _problem(self, node: yaml.Node, message: str) -> Problem:
        place = self._place(node)
        return Problem(message, place.file, place.line, place.column)


def _merge(source: Source, tree: _Tree) -> None:
    problems: list[Problem] = []
    _merge_map(source, source.tree, tree, (), tree.places, problems)
    if problems:
        raise ConfigError(problems)
    for keys, place in tree.places.items():
        source.places.setdefault(keys, place)


def _merge_map(
    source: Source,
    into: dict[str, Any],
    new: dict[str, Any],
    keys: Keys,
    places: dict[Keys, Place],
    problems: list[Problem],
) -> None:
    for key, value in new.items():
        here = (*keys, key)
        if key not in into:
            into[key] = value
        elif isinstance(into[key], dict) and isinstance(value, dict):
            _merge_map(source, into[key], value, here, places, problems)
        elif here == ("version",) and into[key] == value:
            continue
        else:
            place = places[here]
            problems.append(
                Problem(
                    f"'{'.'.join(map(str, here))}' is also set at {source.place(here)}",
                    place.file,
                    place.line,
                    place.column,
                )
            )
