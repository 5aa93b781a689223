"""A page of documentation for every kind, made from its configuration model, so that it says what is true."""

from __future__ import annotations

import types
import typing
from enum import Enum
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from extproc.policy.kinds.base import PolicyBase

HEAD: Final = "<!-- Made from the code; see tests/unit/policy/test_pages.py. -->\n"


def page(kind: type[PolicyBase]) -> str:
    """The page of a kind, as Markdown."""
    name = name_of(kind)
    own = {field: info for field, info in kind.model_fields.items() if not _common(kind, field) and field != "kind"}
    common = {field: info for field, info in kind.model_fields.items() if _common(kind, field)}
    parts = [f"{HEAD}# Kind `{name}`\n", _text(kind)]
    if kind.example:
        parts.append(f"```yaml\n{kind.example.strip()}\n```\n")
    if own:
        parts += ["## Fields\n", _table(own), *_nested(own)]
    parts += ["## Fields of every policy\n", _table(common)]
    return "\n".join(parts)


def index(kinds: typing.Iterable[type[PolicyBase]]) -> str:
    """The list of all kinds."""
    rows = [f"| [`{name_of(kind)}`]({name_of(kind)}.md) | {_text(kind).splitlines()[0]} |" for kind in kinds]
    return "\n".join([f"{HEAD}# Kinds of policies\n", "| kind | what it does |", "|---|---|", *rows, ""])


def name_of(kind: type[BaseModel]) -> str:
    """What a kind is called in the configuration."""
    name: str = typing.get_args(kind.model_fields["kind"].annotation)[0]
    return name


def _text(kind: type[BaseModel]) -> str:
    return "\n".join(line.strip() for line in (kind.__doc__ or "").strip().splitlines()) + "\n"


def _common(kind: type[PolicyBase], field: str) -> bool:
    return any(field in base.model_fields for base in kind.__mro__[1:] if issubclass(base, PolicyBase))


def _table(fields: dict[str, FieldInfo]) -> str:
    rows = [_row(name, info) for name, info in fields.items()]
    return "\n".join(["| field | type | default | meaning |", "|---|---|---|---|", *rows, ""])


def _row(name: str, info: FieldInfo) -> str:
    return (
        f"| `{info.alias or name}` | {_type(info.annotation)} | {_default(info)} | {_escaped(info.description or '')} |"
    )


def _nested(fields: dict[str, FieldInfo]) -> list[str]:
    found: list[str] = []
    for name, info in fields.items():
        for model in _models(info.annotation):
            found += [f"### `{name}`\n", _text(model), _table(dict(model.model_fields))]
    return found


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for each in typing.get_args(annotation) for model in _models(each)]


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "needed"
    value = info.get_default(call_default_factory=True, validated_data={}) if info.default_factory else info.default
    if value is None or value is PydanticUndefined or isinstance(value, BaseModel):
        return ""
    if isinstance(value, Enum):
        value = value.value
    text = ", ".join(map(str, value)) if isinstance(value, (list, tuple, set, frozenset)) else str(value)
    return f"`{_escaped(text)}`" if text else ""


def _type(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{each}`" for each in arguments) if len(arguments) <= 8 else "one of many names"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(each) for each in arguments if each is not type(None))
    if origin in (list, tuple, set, frozenset):
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"map to {_type(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(f"`{each.value}`" for each in annotation)
    return {"str": "text", "int": "number", "float": "number", "bool": "true or false"}.get(
        getattr(annotation, "__name__", ""), "see below"
    )


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
