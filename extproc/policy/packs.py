"""Packs: word lists and rules as data, with the examples that prove them.

Owns: the shape of a pack file, where packs are found (the operator's folder, the environment, the installed package,
the checkout) and the rule that a pack whose own examples fail is never loaded. Anyone can write one: a few lines of YAML.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from extproc.errors import ConfigError, Problem
from extproc.policy.api import Action, Mode, Policy, Strictness
from extproc.policy.hardened import hardened_rules
from extproc.policy.lenses import Lenses
from extproc.policy.words import WordRule

_ENVIRONMENT = "EXTPROC_POLICIES"


class Examples(BaseModel):
    """Texts that prove a pack: each of ``match`` must be found, none of ``clean`` may be.

    ``disguised`` are found where a policy looks through disguises (``match: hardened``, the default of word lists).
    """

    model_config = ConfigDict(extra="forbid")
    match: Annotated[list[str], Field(min_length=1)]
    clean: list[str] = []
    disguised: list[str] = []


class Pack(BaseModel):
    """A pack file."""

    model_config = ConfigDict(extra="forbid")
    pack: str
    version: int
    about: str
    kind: Literal["wordlist"]
    words: Annotated[list[str], Field(min_length=1)]
    examples: Examples


def folders(extra: Path | None = None) -> list[Path]:
    """Where packs are looked for, first match wins."""
    named = [extra] if extra else []
    if os.environ.get(_ENVIRONMENT):
        named.append(Path(os.environ[_ENVIRONMENT]))
    installed = Path(str(files("extproc"))) / "_policies"
    sibling = Path(__file__).resolve().parents[2] / "policies"
    return [*named, installed, sibling]


def load(name: str, extra: Path | None = None) -> Pack:
    """Read a pack by name and prove it with its own examples.

    Raises:
        ConfigError: no such pack, not a pack, or an example fails; says which.
    """
    for folder in folders(extra):
        path = folder / f"{name}.yaml"
        if path.is_file():
            return _read(path, name)
    raise ConfigError(f"there is no pack '{name}'; known: {', '.join(available(extra)) or 'none'}")


def available(extra: Path | None = None) -> list[str]:
    """Names of all packs that can be found."""
    return sorted({path.stem for folder in folders(extra) if folder.is_dir() for path in folder.glob("*.yaml")})


def _read(path: Path, name: str) -> Pack:
    try:
        pack = Pack.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except (OSError, ValidationError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(f"not a pack: {error}", str(path))]) from None
    if pack.pack != name:
        raise ConfigError([Problem(f"calls itself '{pack.pack}'", str(path))])
    plain = _found(pack, Strictness.FOLDED)
    wrong = [f"example not found: {text!r}" for text in pack.examples.match if not plain(text)]
    hardened = _found(pack, Strictness.HARDENED) if pack.examples.disguised else plain
    wrong += [f"disguised example not found: {text!r}" for text in pack.examples.disguised if not hardened(text)]
    wrong += [f"clean example found: {text!r}" for text in pack.examples.clean if plain(text) or hardened(text)]
    if wrong:
        raise ConfigError([Problem(each, str(path)) for each in wrong])
    return pack


def _found(pack: Pack, match: Strictness) -> Callable[[str], bool]:
    """Whether a text has an entry of the pack in it."""
    hard = match is Strictness.HARDENED
    rules = hardened_rules("", pack.words, "") if hard else [WordRule("", pack.words, "", match)]
    policy = Policy("", Action.AUDIT, Mode.ENFORCE, frozenset(), frozenset(), tuple(rules), match=match)
    lenses = Lenses((policy, rule) for rule in rules)
    return lambda text: bool(lenses.scan(text))
