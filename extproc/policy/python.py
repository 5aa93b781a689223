"""Policies written in Python: found, made, and asked (see ``extproc.plugin`` for their side)."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

import pydantic

from extproc.errors import ConfigError
from extproc.framing.jsonedit import Edits
from extproc.plugin import Audit, Block, Caller, Patch, Redact, Reply, Text
from extproc.policy.fields import SHAPES
from extproc.policy.parameters import Parameters, models_edits
from extproc.policy.prompts import system_edits
from extproc.policy.request import Request, Verdict

GROUP: Final = "extproc.policies"
"""The entry points that packages offer policies under."""


def find(path: str, entry: str, folder: Path) -> type:
    """The class of a policy: from a file (``path`` is FILE.py:CLASS, ``folder`` where it is looked for) or a package.

    Raises:
        ConfigError: there is none, or it cannot be imported.
    """
    if entry:
        found = next(iter(entry_points(group=GROUP, name=entry)), None)
        if found is None:
            known = ", ".join(sorted(each.name for each in entry_points(group=GROUP))) or "none"
            raise ConfigError(f"no installed package offers the policy '{entry}'; known: {known}")
        loaded = found.load()
    else:
        loaded = _from_file(path, folder)
    if not isinstance(loaded, type) or not (hasattr(loaded, "inspect") or hasattr(loaded, "request")):
        raise ConfigError(f"{entry or path} is not a class with `inspect` or `request`")
    return loaded


def _from_file(path: str, folder: Path) -> Any:
    name, _, class_name = path.rpartition(":")
    file = folder / name
    spec = importlib.util.spec_from_file_location(f"extproc_policy_{file.stem}", file)
    if not name or spec is None or spec.loader is None:
        raise ConfigError(f"'{path}' is not FILE.py:CLASS")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a stranger's code raises
        raise ConfigError(f"{file} cannot be imported: {type(error).__name__}: {error}") from None
    if not hasattr(module, class_name):
        raise ConfigError(f"{file} has no class '{class_name}'")
    return getattr(module, class_name)


def make(class_: type, config: Mapping[str, Any]) -> Any:
    """An instance, with its configuration.

    Raises:
        ConfigError: the configuration is not what it wants, or it raises.
    """
    model = getattr(class_, "Config", None)
    try:
        if isinstance(model, type) and issubclass(model, pydantic.BaseModel):
            return class_(model.model_validate(dict(config)))
        if config:
            raise ConfigError(f"{class_.__name__} has no `Config`, so `config` means nothing")
        return class_()
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"config: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"{class_.__name__} cannot be made: {type(error).__name__}: {error}") from None


@dataclass(frozen=True, slots=True, eq=False)
class Local:
    """A policy's code as what judges texts; see ``extproc.moderation.api.Moderation``, whose part it plays."""

    code: Any
    deadline: float
    window: int
    lag: int
    template: str
    wait: str = "before"

    def replacement(self, label: str) -> str:
        """What stands in for text of a category."""
        return self.template.replace("{type}", label)

    def inspect(self, texts: Sequence[Text], caller: Caller) -> Block | Audit | Redact | None:
        """What the code says.

        Raises:
            TypeError: nothing that it may say; else whatever it raises.
        """
        said = self.code.inspect(list(texts), caller)
        if said is not None and not isinstance(said, Block | Audit | Redact):
            raise TypeError("a policy said what it may not")
        return said


class Hook:
    """A policy's ``request`` as a rule of requests; see ``RequestRule``."""

    def __init__(self, code: Any) -> None:
        self._code = code

    def judge(self, request: Request) -> Verdict | None:
        """Ask it."""
        try:
            said = self._code.request(request)
        except SystemExit:  # it ends no process from here
            raise RuntimeError("a policy wanted to leave") from None
        if said is None:
            return None
        if isinstance(said, Block):
            return Verdict(said.label, said.why)
        if isinstance(said, Reply) and said.text:
            return Verdict("replied", reply=said.text)
        if isinstance(said, Patch):
            edits = _edits(said, request)
            return Verdict("patched", edits=edits, model=said.model) if edits or said.model else None
        raise TypeError("a policy said what it may not")


def _edits(patch: Patch, request: Request) -> Edits:
    shape = SHAPES[request.format]
    values = {name: value for name, value in patch.parameters.items() if value is not None}
    removed = [name for name, value in patch.parameters.items() if value is None]
    edits = Parameters(values, removed).edits(request, shape)
    if patch.system and shape.system:
        edits |= system_edits(request.body, shape, before=patch.system, after="", instead="")
    return edits | models_edits(request, patch.model, edits) if patch.model else edits


def has(code: object, method: str) -> bool:
    """Whether a policy has a method."""
    return inspect.ismethod(getattr(code, method, None)) or callable(getattr(code, method, None))
