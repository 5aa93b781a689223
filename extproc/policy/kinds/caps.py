"""Kind ``caps``: how much one request may ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from extproc.config.strict import Strict
from extproc.policy import limits
from extproc.policy.kinds.base import Context, Names, RequestPolicyBase, needs_one
from extproc.policy.parts import sizes
from extproc.policy.request import Request, Verdict

Limit = Annotated[int, Field(ge=0)]


class OutputTokens(Strict):
    """How long an answer may be, in tokens."""

    default: Annotated[int, Field(ge=1)] | None = Field(None, description="set where the request does not say")
    max: Annotated[int, Field(ge=1)] | None = Field(None, description="the most; also set where there is no default")
    over: Literal["clamp", "reject"] = Field("clamp", description="clamp lowers what is above `max`, reject refuses it")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        needs_one(self, "default", "max")
        if self.default and self.max and self.default > self.max:
            raise ValueError("`default` is above `max`")
        return self


class Caps(RequestPolicyBase):
    """Limits of one request. Only `max_output_tokens` can change a request; whatever is above another limit is refused."""

    example = """
policies:
  caps: {kind: caps, max_output_tokens: {default: 1000, max: 4000, over: clamp}, max_prompt_tokens: 60000, max_choices: 1}
"""
    kind: Literal["caps"]
    max_output_tokens: (
        Annotated[OutputTokens, BeforeValidator(lambda value: {"max": value} if isinstance(value, int) else value)]
        | None
    ) = Field(None, description="length of the answer, in every field that some API has for it; a number is its `max`")
    max_prompt_chars: Limit | None = Field(None, description="characters of all texts, of every role")
    max_prompt_tokens: Limit | None = Field(None, description="the same in tokens, estimated as bytes of UTF-8 by four")
    max_choices: Annotated[int, Field(ge=1)] | None = Field(None, description="answers or pictures made of one prompt")
    max_messages: Limit | None = Field(None, description="messages of the conversation")
    max_tools: Limit | None = Field(None, description="tools offered to the model")
    max_images: Limit | None = Field(None, description="pictures sent")
    sizes: Names | None = Field(None, description="sizes of pictures that may be asked for, as the API writes them")

    @model_validator(mode="after")
    def _something(self) -> Self:
        needs_one(self, "max_output_tokens", *(field for field, *_ in _COUNTED), "max_choices", "sizes")
        return self

    def rule(self, name: str, context: Context) -> Caps:
        """The configuration itself judges."""
        return self

    def judge(self, request: Request) -> Verdict | None:
        """See ``RequestRule``."""
        for field, count, noun, param in _COUNTED:
            limit = getattr(self, field)
            if limit is not None and (found := count(request)) > limit:
                why = f"The request has {found} {noun}; at most {limit} are accepted."
                return Verdict(field.removeprefix("max_"), why, param=param)
        if self.max_choices and (refused := limits.choices(request, self.max_choices)):
            return refused
        if self.sizes is not None and any(size not in self.sizes for size in sizes(request.body)):
            return Verdict("size", f"The size must be one of: {', '.join(self.sizes)}.", param="size")
        most = self.max_output_tokens
        return limits.output(request, most.default, most.max, clamp=most.over == "clamp") if most else None


_COUNTED: Final[tuple[tuple[str, Callable[[Request], int], str, str], ...]] = (
    ("max_messages", limits.messages, "messages", "messages"),
    ("max_tools", limits.offered, "tools", "tools"),
    ("max_images", limits.images, "pictures", "messages"),
    ("max_prompt_chars", limits.chars, "characters of text", "messages"),
    ("max_prompt_tokens", limits.tokens, "tokens of text (estimated)", "messages"),
)
