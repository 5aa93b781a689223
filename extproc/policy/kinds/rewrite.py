"""Kind ``rewrite``: the operator's system prompt, parameters and models."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, model_validator

from extproc.config.strict import Strict
from extproc.framing.jsonedit import EditPath
from extproc.policy.api import Action
from extproc.policy.fields import Shape, shape_of
from extproc.policy.globs import Globs
from extproc.policy.kinds.base import Context, RequestPolicyBase, _listed, needs_one
from extproc.policy.parameters import Parameters, models_edits, parameter
from extproc.policy.prompts import filled, system_edits
from extproc.policy.request import Request, Verdict

Parameter = Annotated[str, AfterValidator(parameter)]


class System(Strict):
    """The operator's words in the system prompt. `{model}`, `{operation}` and `{date}` (UTC) are filled in."""

    prepend: str = Field("", description="put before what the client has")
    append: str = Field("", description="put after it")
    replace: str = Field("", description="put in the place of all of it")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.replace) is bool(self.prepend or self.append):
            raise ValueError("needs either `replace`, or `prepend`, `append` or both")
        return self


class Rewrite(RequestPolicyBase):
    """Changes requests on their way. Policies listed after it see what it made."""

    allowed_actions = frozenset({Action.REDACT, Action.AUDIT})
    tightens = False
    example = """
policies:
  house: {kind: rewrite, system: {prepend: "You answer for Acme."}, set: {temperature: 0.2}, models: {gpt-4: gpt-4.1-mini}}
"""
    kind: Literal["rewrite"]
    action: Literal[Action.REDACT, Action.AUDIT] = Field(
        Action.REDACT, description="audit only records what would have been changed"
    )
    system: System | None = Field(
        None, description="the operator's words; formats without a system prompt stay as they are"
    )
    set: dict[Parameter, JsonValue] = Field({}, description="parameters and their values; a dot leads into an object")
    remove: Annotated[list[Parameter], BeforeValidator(_listed)] = Field(
        [], description="parameters that are taken out, in every spelling"
    )
    models: dict[str, str] = Field(
        {}, description="names and globs of models, and what is asked for instead; first match; fallbacks are taken out"
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        needs_one(self, "system", "set", "remove", "models")
        Parameters(self.set, self.remove)
        return self

    def rule(self, name: str, context: Context) -> _Rule:
        """The changes, compiled."""
        return _Rule(self)


class _Rule:
    def __init__(self, config: Rewrite) -> None:
        self._system = config.system
        self._parameters = Parameters(config.set, config.remove)
        self._models = [(Globs([name]), model) for name, model in config.models.items()]

    def judge(self, request: Request) -> Verdict | None:
        """See ``RequestRule``."""
        model = next((model for names, model in self._models if request.model in names), request.model)
        shape = shape_of(request.format, request.model, request.body)
        edits = self._prompt(request, model, shape) | self._parameters.edits(request, shape)
        other = model if model != request.model else ""
        edits |= models_edits(request, other, edits) if other else {}
        return Verdict("rewritten", edits=edits, model=other) if edits or other else None

    def _prompt(self, request: Request, model: str, shape: Shape) -> dict[EditPath, Any]:
        if not self._system or not shape.system:
            return {}
        texts = (self._system.prepend, self._system.append, self._system.replace)
        before, after, instead = (filled(text, request, model) for text in texts)
        return system_edits(request.body, shape, before=before, after=after, instead=instead)
