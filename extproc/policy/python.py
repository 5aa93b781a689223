"""Policies written in Python: found, made, and asked (see ``extproc.plugin`` for their side)."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

import pydantic

from extproc.errors import ConfigError
from extproc.exchange.headers import settable
from extproc.framing.jsonedit import Edits
from extproc.plugin import Answer, Audit, Block, Caller, Patch, Redact, Reply, Text
from extproc.policy.api import Action
from extproc.policy.fields import shape_of
from extproc.policy.parameters import Parameters, models_edits
from extproc.policy.prompts import system_edits
from extproc.policy.request import Request, Verdict

GROUP: Final = "extproc.policies"
"""The entry points that packages offer policies under."""


_WORD: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}", re.ASCII)
_TAKEN: Final = frozenset({"off", *(each.value for each in Action)})


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
    if not isinstance(loaded, type) or not any(hasattr(loaded, each) for each in ("inspect", "request", "response")):
        raise ConfigError(f"{entry or path} is not a class with `inspect`, `request` or `response`")
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


def overrides(class_: type) -> tuple[str, ...]:
    """The words that a header may say to it, from the mildest to the strictest.

    Raises:
        ConfigError: they are no such words, or mean something else already.
    """
    words = getattr(class_, "Override", ())
    good = isinstance(words, list | tuple) and all(isinstance(each, str) and _WORD.fullmatch(each) for each in words)
    if not good or len(set(words)) < len(words) or not _TAKEN.isdisjoint(words):
        taken = ", ".join(sorted(_TAKEN))
        raise ConfigError(
            f"{class_.__name__}.Override is not a list of different words in lower case other than {taken}"
        )
    return tuple(words)


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
        said = _staying(self._code.request, request)
        if said is None:
            return None
        if isinstance(said, Block):
            return Verdict(said.label, said.why)
        if isinstance(said, Reply) and said.text:
            return Verdict("replied", reply=said.text)
        if isinstance(said, Patch):
            edits = _edits(said, request)
            headers = {settable(name, value): value for name, value in said.headers.items()}
            if not (edits or headers or said.model):
                return None
            return Verdict("patched", edits=edits, model=said.model, headers=headers)
        raise TypeError("a policy said what it may not")


class AnswerHook:
    """A policy's ``response``.

    Args:
        template: what stands in for what it marks; ``{type}`` is the label.
    """

    def __init__(self, code: Any, template: str) -> None:
        self._code = code
        self._template = template

    def replacement(self, label: str) -> str:
        """What stands in for text of a category."""
        return self._template.replace("{type}", label)

    def judge(self, answer: Answer) -> Block | Audit | Redact | Reply | None:
        """Ask it.

        Raises:
            TypeError: nothing that it may say; else whatever it raises.
        """
        said = _staying(self._code.response, answer)
        if said is None or isinstance(said, Block | Audit | Redact) or (isinstance(said, Reply) and said.text):
            return said
        raise TypeError("a policy said what it may not")


def _staying(method: Callable[[Any], Any], about: Any) -> Any:
    try:
        return method(about)
    except SystemExit:  # it ends no process from here
        raise RuntimeError("a policy wanted to leave") from None


def _edits(patch: Patch, request: Request) -> Edits:
    shape = shape_of(request.format, request.model, request.body)
    values = {name: value for name, value in patch.parameters.items() if value is not None}
    removed = [name for name, value in patch.parameters.items() if value is None]
    edits = Parameters(values, removed).edits(request, shape)
    if patch.system and shape.system:
        edits |= system_edits(request.body, shape, before=patch.system, after="", instead="")
    return edits | models_edits(request, patch.model, edits) if patch.model else edits


def has(code: object, method: str) -> bool:
    """Whether a policy has a method."""
    return inspect.ismethod(getattr(code, method, None)) or callable(getattr(code, method, None))
