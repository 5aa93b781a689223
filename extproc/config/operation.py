"""The shape of ``operations``: what else of the providers' APIs may pass, each under a name."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, field_validator, model_validator

from extproc.config.provider import listed
from extproc.config.strict import Strict
from extproc.operations import find

_SEGMENT: Final = r"/[A-Za-z0-9_~-][A-Za-z0-9._~:-]{0,127}"
_PATH: Final = re.compile(rf"(?:{_SEGMENT}){{1,16}}(?:/\*)?", re.ASCII)
_TARGET: Final = re.compile(rf"(?:{_SEGMENT}){{1,16}}(?:/\*)?(?:\?[A-Za-z0-9._~:=&-]{{1,200}})?", re.ASCII)
_WIDE: Final = re.compile(r"(?:/(?:proxy|openai|anthropic|gemini|bedrock|v\d+[a-z]*\d*))*/\*", re.ASCII)
"""Whole APIs."""
_KEYS: Final = frozenset({"key", "api_key", "api-key", "apikey", "access_token", "token", "sig", "signature"})
_Parameter = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class NamedOperation(Strict):
    """An operation that the gateway does not know itself. Nothing is converted: it goes on as it came."""

    path: Annotated[list[str], BeforeValidator(listed), Field(min_length=1)] = Field(
        description="what clients ask for: exact, or with `/*` at the end for what is below it"
    )
    method: Annotated[
        list[Literal["GET", "POST", "PUT", "PATCH", "DELETE"]], BeforeValidator(listed), Field(min_length=1)
    ] = Field(["POST"])
    to: str | None = Field(
        None,
        description="the provider; absent: that of the model which the body names, as for other operations. Without meaning "
        "where others route",
    )
    target: str | None = Field(
        None,
        description="path at the provider's host, with `/*` at the end for what the path's stands for; absent: the client's "
        "path, below the provider's base URL",
    )
    scan: Literal["generic", "opaque"] = Field(
        description="generic: JSON, of which every text is inspected. opaque: any body, which nobody looks into, nor into the "
        "answer; only policies that judge by operation, header or address apply"
    )
    query: list[_Parameter] = Field(
        ["after", "after_id", "before", "before_id", "limit", "order"],
        description="parameters that may pass in the query; a request with any other is refused",
    )

    @field_validator("path")
    @classmethod
    def _paths(cls, value: list[str]) -> list[str]:
        for path in value:
            if not _PATH.fullmatch(path):
                raise ValueError(f"'{path}' is no path of letters, digits and . _ ~ : - with at most a `/*` at its end")
            if _WIDE.fullmatch(path):
                raise ValueError(f"'{path}' is too wide: name what is in front of the `*`")
        return value

    @field_validator("target")
    @classmethod
    def _at(cls, value: str | None) -> str | None:
        if value is not None and not _TARGET.fullmatch(value):
            raise ValueError(
                "must be a path of letters, digits and . _ ~ : - with at most a `/*` and a query at its end"
            )
        return value

    @field_validator("query")
    @classmethod
    def _parameters(cls, value: list[str]) -> list[str]:
        if keys := [name for name in value if name.lower() in _KEYS]:
            raise ValueError(f"'{keys[0]}' is where keys stand: those never pass")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for path in self.path:
            for method in self.method:
                if find(method, path):
                    raise ValueError(f"{method} {path} is an operation that the gateway knows, and inspects better")
        if self.target and len({self.open, *(each.endswith("*") for each in self.path)}) > 1:
            raise ValueError("`target` and all of `path` must end in `/*`, or none of them")
        return self

    @property
    def open(self) -> bool:
        """Whether the target ends in what a client says."""
        return (self.target or "").partition("?")[0].endswith("/*")
