"""Kind ``tools``: which tools a request may offer to the model."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from extproc.policy.globs import Globs
from extproc.policy.kinds.base import Context, Names, RequestPolicyBase, needs_one
from extproc.policy.parts import Tool, forced, plain_type, tools
from extproc.policy.request import Request, Verdict


class Tools(RequestPolicyBase):
    """Tools by name and by type, in every API's way of offering them. `deny` wins.

    A tool without a name of its own (`web_search`, `googleSearch`) is named as its type. Types are compared without case,
    hyphens and underscores. What cannot be read is refused.
    """

    example = """
policies:
  tools: {kind: tools, allow: ["search_*", get_weather], types: [function]}
"""
    kind: Literal["tools"]
    allow: Names | None = Field(None, description="names and globs, compared exactly; absent: all")
    deny: Names = Field([], description="names and globs, compared without case")
    types: Names | None = Field(
        None, description="types and globs that may be offered: function, custom, mcp, `web_search*`, …; absent: all"
    )
    forbid: bool = Field(False, description="refuse every tool")
    forbid_required: bool = Field(False, description="refuse requests that make the model use a tool (`tool_choice`)")

    @model_validator(mode="after")
    def _something(self) -> Self:
        needs_one(self, "allow", "deny", "types", "forbid", "forbid_required")
        return self

    def rule(self, name: str, context: Context) -> _Rule:
        """The lists, compiled."""
        return _Rule(self)


class _Rule:
    def __init__(self, config: Tools) -> None:
        self._config = config
        self._allow = None if config.allow is None else Globs(config.allow)
        self._deny = Globs(config.deny, ignore_case=True)
        self._types = None if config.types is None else Globs(plain_type(each) for each in config.types)

    def judge(self, request: Request) -> Verdict | None:
        """See ``RequestRule``."""
        for tool in tools(request.body):
            label = self._label(tool)
            if label:
                return Verdict(label, _WHY[label], param="tools")
        if self._config.forbid_required and forced(request.body):
            return Verdict("required", "The request may not make the model use a tool.", param="tool_choice")
        return None

    def _label(self, tool: Tool) -> str:
        if self._config.forbid:
            return "forbidden"
        if self._types is not None and plain_type(tool.type) not in self._types:
            return "type"
        if tool.name is None:
            return "unreadable" if self._allow is not None or self._deny else ""
        if tool.name in self._deny:
            return "denied"
        return "not_allowed" if self._allow is not None and tool.name not in self._allow else ""


_WHY = {
    "forbidden": "Tools may not be used.",
    "type": "The request offers a tool of a type that may not be used.",
    "unreadable": "The request offers a tool in a way that is not accepted.",
    "denied": "The request offers a tool that may not be used.",
    "not_allowed": "The request offers a tool that is not among those that may be used.",
}
