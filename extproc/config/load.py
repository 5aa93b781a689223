"""From files and environment to a checked ``Config``, every error with its place and what would be allowed."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from extproc.config.model import RESERVED, Config
from extproc.config.references import UnresolvedError, resolve, variable, without_placeholders
from extproc.config.source import Keys, Source, read, scalar
from extproc.errors import ConfigError, Problem
from extproc.providers.known import KNOWN

_PREFIX: Final = "EXTPROC_"
_NOT_FIELDS: Final = frozenset({"EXTPROC_POLICIES", "EXTPROC_CONFIG", "EXTPROC_STATE"})


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration and where it came from. ``environment`` includes the ``.env`` beside the file."""

    config: Config
    source: Source
    environment: Mapping[str, str]
    folder: Path

    def inputs(self) -> list[Path]:
        """Every file and folder the configuration was read from: a change in one of them may change it."""
        found = {*self.source.files, *(path.parent for path in self.source.files[1:]), self.folder / ".env"}
        found |= {
            self.folder / each.removeprefix("file:") for each in _texts(self.source.tree) if each.startswith("file:")
        }
        return sorted(found)

    def problem(self, keys: Keys, message: str) -> Problem:
        """A problem with the value at ``keys``."""
        return self.source.problem(keys, message)


def load(path: Path | None, environment: Mapping[str, str] | None = None) -> Loaded:
    """Read the configuration file, or make one up from the provider keys in the environment.

    Raises:
        ConfigError: with every problem found, each with file, line and column where it has one.
    """
    folder = path.parent if path else Path.cwd()
    given = os.environ if environment is None else environment
    variables = {**without_placeholders(dotenv(folder / ".env")), **without_placeholders(given)}
    source = read(path) if path else Source()
    _merge_environment(source, variables)
    if path is None:
        _providers_from_environment(source, variables)
    _resolve(source, source.tree, (), variables, folder)
    return Loaded(_validate(source), source, variables, folder)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for child in value.values() if isinstance(value, dict) else value:
            yield from _texts(child)


def shipped() -> dict[str, Any]:
    """The policies and sets that come with the product."""
    text = (files("extproc.config") / "recommended.yaml").read_text("utf-8")
    tree: dict[str, Any] = yaml.safe_load(text)
    return tree


def dotenv(path: Path) -> dict[str, str]:
    """The variables of a ``.env`` file; none where there is no file.

    Raises:
        ConfigError: it is not text.
    """
    if not path.is_file():
        return {}
    values = {}
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise ConfigError([Problem(f"{path} cannot be read: it must be text in UTF-8")]) from None
    for line in lines:
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            value = value.strip()
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
            values[name.strip()] = value[1:-1] if quoted else value
    return values


def _merge_environment(source: Source, variables: Mapping[str, str]) -> None:
    """``EXTPROC_GATEWAY__PORT=9443`` sets gateway.port; ``PORT`` is what platforms set for the listener they expect."""
    overrides = {
        tuple(name.removeprefix(_PREFIX).lower().split("__")): value
        for name, value in variables.items()
        if name.startswith(_PREFIX) and name not in _NOT_FIELDS and not name.startswith("EXTPROC_TEST_")
    }
    if variables.get("PORT") and ("gateway", "port") not in overrides:
        overrides["gateway", "port"] = variables["PORT"]
    for keys, value in sorted(overrides.items()):
        _set(source, keys, value)


def _set(source: Source, keys: tuple[str, ...], value: str) -> None:
    node = source.tree
    for key in keys[:-1]:
        child = node.setdefault(key, {})
        if not isinstance(child, dict):
            child = node[key] = {}
        node = child
    node[keys[-1]] = scalar(value)


def _providers_from_environment(source: Source, variables: Mapping[str, str]) -> None:
    providers = source.tree.setdefault("providers", {})
    for name, known in KNOWN.items():
        if known.whole and variables.get(known.variable):
            providers.setdefault(name, {"keys": [f"env:{known.variable}"]})


_SECRET: Final = {"keys", "aws_keys"}


def _resolve(source: Source, value: Any, keys: Keys, variables: Mapping[str, str], folder: Path) -> None:
    """Replace references to the environment, except under those of keys: secrets are resolved where they are used."""
    pairs = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    for key, child in pairs:
        here = (*keys, key)
        if isinstance(child, str) and variable(child) and not _SECRET & set(here) and keys[:1] != ("policies",):
            try:
                value[key] = scalar(resolve(child, variables, folder))
            except UnresolvedError as error:
                raise ConfigError([source.problem(here, str(error))]) from None
        else:
            _resolve(source, child, here, variables, folder)


def _validate(source: Source) -> Config:
    reserved = [name for name in RESERVED if name in source.tree]
    if reserved:
        raise ConfigError([source.problem((name,), "is reserved for a later version") for name in reserved])
    fields: dict[int, list[str]] = {}
    try:
        return Config.model_validate(source.tree, context=fields)
    except ValidationError as error:
        raise ConfigError([_problem(source, each, fields) for each in error.errors(include_url=False)]) from None


def _problem(source: Source, error: Any, fields: dict[int, list[str]]) -> Problem:
    keys, parent = _walk(source.tree, error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        allowed = fields.get(id(parent), [])
        near = difflib.get_close_matches(str(keys[-1]), allowed, 1)
        hint = f", did you mean '{near[0]}'?" if near else ";"
        message = f"unknown key{hint} allowed here: {', '.join(allowed)}"
    return source.problem(keys, message)


def _walk(tree: Any, location: tuple[Any, ...]) -> tuple[Keys, Any]:
    """A pydantic location as a path in the file: tags of unions and the like, which are not in the file, drop out."""
    keys: list[Any] = []
    node, parent = tree, tree
    for index, key in enumerate(location):
        inside = (isinstance(node, dict) and key in node) or (
            isinstance(node, list) and isinstance(key, int) and key < len(node)
        )
        if inside:
            parent, node = node, node[key]
            keys.append(key)
        elif index == len(location) - 1 and isinstance(node, dict) and isinstance(key, str):
            keys.append(key)  # a missing key
    return tuple(keys), parent
