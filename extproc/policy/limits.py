"""Counting what a request has, and holding the length of its answer to a limit."""

from __future__ import annotations

from typing import Any, Final

from extproc.framing.jsonedit import EditPath
from extproc.policy.fields import (
    BUDGET,
    CHOICES,
    OUTPUT,
    PROMPTS,
    QUIET,
    TALKS,
    Shape,
    added,
    at,
    inside,
    named,
    place,
    plain,
    shape_of,
    whole,
)
from extproc.policy.parts import media, tools
from extproc.policy.request import Request, Verdict

LABEL: Final = "output_tokens"
_A_TOKEN: Final = 4
"""Bytes of UTF-8 that are taken for a token: about right for English, within a factor of two for most languages."""


def chars(request: Request) -> int:
    """Characters of all texts: every role, every form of content, tool definitions. A token's number counts as four."""
    return sum(len(span.text) for span in request.spans) + _A_TOKEN * _token_ids(request.body)


def tokens(request: Request) -> int:
    """Tokens of all texts, estimated: for each text its bytes in UTF-8 by four, rounded up."""
    texts = sum(-(-len(span.text.encode()) // _A_TOKEN) for span in request.spans)
    return texts + _token_ids(request.body)


def _token_ids(body: dict[str, Any]) -> int:
    """Tokens that a prompt gives as numbers."""
    count = 0
    stack = [child for key, child in body.items() if plain(key) in PROMPTS and isinstance(child, list)]
    while stack:
        for each in stack.pop():
            if isinstance(each, list):
                stack.append(each)
            elif isinstance(each, (int, float)):
                count += 1
    return count


def messages(request: Request) -> int:
    """Messages of the conversation; a text alone is one."""
    talks = [member.value for member in request.members if member.name in TALKS and member.value]
    return sum(len(talk) if isinstance(talk, list) else 1 for talk in talks)


def images(request: Request) -> int:
    """Pictures."""
    return sum(each.medium == "image" for each in media(request.body))


def offered(request: Request) -> int:
    """Tools."""
    return sum(1 for _ in tools(request.members))


def choices(request: Request, most: int) -> Verdict | None:
    """Refuse more answers to one prompt than these."""
    for member in named(request.members, CHOICES):
        if not 1 <= (whole(member.value) or 0) <= most:
            return Verdict("choices", f"The field must be a whole number from 1 to {most}.", param=member.param)
    return None


def output(request: Request, default: int | None, most: int | None, *, clamp: bool) -> Verdict | None:
    """Hold the answer to ``most`` tokens, and to ``default`` where the request does not say.

    Every field that limits the answer in some API must be a whole number up to ``most``; budgets for thinking stay below
    it, as they are part of it. The fields that this format knows are the ones that must be there.
    """
    shape = shape_of(request.format, request.model, request.body)
    edits: dict[EditPath, Any] = {}
    for member in named(request.members, OUTPUT | BUDGET) if most is not None else ():
        least, bound = (1, most or 0) if member.name in OUTPUT else (0, (most or 1) - 1)
        value = whole(member.value)
        if (value is not None and least <= value <= bound) or inside(member.path, edits):
            continue
        if not clamp:
            return Verdict(LABEL, f"The field must be a whole number from {least} to {bound}.", param=member.param)
        edits[member.path] = bound
    if _unlimited(request, shape) and not (
        shape.unsure and most is None
    ):  # then the default is a wish that cannot be said
        if shape.unsure or (default is None and not clamp):
            field = "" if shape.unsure else ".".join(map(str, shape.output[0]))
            return Verdict(LABEL, f"The request must limit its answer to at most {most} tokens.", param=field)
        value = most if default is None else default
        path, new = added(request.body, place(request.body, shape.output[0], shape), value)
        edits[path] = new
    return Verdict(LABEL, edits=edits) if edits else None


def _unlimited(request: Request, shape: Shape) -> bool:
    """Whether an answer is made and nothing says how long it may be."""
    if not shape.output or request.operation in QUIET:
        return False
    return all(at(request.body, place(request.body, path, shape)) is None for path in shape.output)
