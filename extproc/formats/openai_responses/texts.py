"""Where the texts are in what the Responses API says: items, their parts, whole responses.

Source: OpenAI API reference, "Responses". Items and members that are not known are texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import Any, Final

from extproc.formats.base import Span
from extproc.formats.logprobs import alternatives, everything, spelled
from extproc.formats.walk import Walk
from extproc.framing.jsontext import Path
from extproc.policy.api import Scope

SKIP: Final = frozenset({
    "id", "object", "model", "role", "type", "status", "call_id", "item_id", "response_id", "previous_response_id",
    "conversation", "container_id", "file_id", "approval_request_id", "service_tier", "phase", "detail", "format",
    "effort", "verbosity", "truncation", "tool_choice", "obfuscation", "prompt_cache_retention",
})  # fmt: skip
BLOBS: Final = frozenset({
    "image_url", "file_data", "data", "url", "encrypted_content", "result", "partial_image_b64",
})  # fmt: skip

TEXTS: Final = Walk(SKIP, BLOBS)

_ROLES: Final = {
    "system": Scope.SYSTEM,
    "developer": Scope.SYSTEM,
    "user": Scope.USER,
    "assistant": Scope.ASSISTANT,
    "tool": Scope.TOOL_OUTPUT,
}
_GIVEN: Final = frozenset({"output", "outputs", "result", "results"})
"""Members of a call that its tool has given."""
_OPERATOR: Final = frozenset({"instructions", "tools", "text", "prompt", "tool_choice", "reasoning"})
"""Members of a response that repeat what the operator of the application asked."""
_CALLER: Final = frozenset({"metadata", "user", "safety_identifier", "prompt_cache_key"})


def item_scope(item: Any, other: Scope) -> Scope:
    """Whose words an item is; ``other`` where it does not tell."""
    kind = item.get("type") if isinstance(item, dict) else None
    if not isinstance(kind, str) or kind == "message":
        role = item.get("role") if isinstance(item, dict) else None
        return _ROLES.get(role, other) if isinstance(role, str) else other
    if kind == "reasoning":
        return Scope.REASONING
    if kind.endswith(("_call", "_request")):
        return Scope.TOOL_INPUT
    if kind.endswith(("_output", "_response", "_list_tools")):
        return Scope.TOOL_OUTPUT
    return other


def item(value: Any, path: Path, other: Scope, found: list[Span], *, sent: bool = False) -> None:
    """Add every text of an item; ``sent``: of a request, where nothing is known to repeat anything."""
    scope = item_scope(value, other)
    if not isinstance(value, dict):
        TEXTS.value(value, path, scope, found)
        return
    TEXTS.names(value, path, scope, found)
    for key, child in value.items():
        if key == "content" and isinstance(child, list):
            for index, each in enumerate(child):
                part(each, (*path, key, index), scope, found, sent=sent)
        elif child:
            given = scope is Scope.TOOL_INPUT and key in _GIVEN
            TEXTS.member(key, child, path, Scope.TOOL_OUTPUT if given else scope, found)


def part(value: Any, path: Path, scope: Scope, found: list[Span], *, sent: bool = False) -> None:
    """Add every text of a content part; ``sent``: see ``item``."""
    if not isinstance(value, dict):
        TEXTS.value(value, path, scope, found)
        return
    if value.get("type") in ("reasoning_text", "summary_text"):
        scope = Scope.REASONING
    TEXTS.members(value, path, scope, found, but="logprobs")
    odd_tokens(value, path, scope, found, sent=sent)


def odd_tokens(value: dict[str, Any], path: Path, scope: Scope, found: list[Span], *, sent: bool = False) -> None:
    """Add what log probabilities say besides the tokens of the text itself, for which see ``echoes``."""
    say = everything if sent else alternatives
    if (tokens := value.get("logprobs")) and (others := "\n".join(say(tokens))):
        found.append(Span((*path, "logprobs"), scope, others))


def response(value: Any, path: Path, found: list[Span]) -> None:
    """Add every text of a response, or of an error."""
    if not isinstance(value, dict):
        TEXTS.value(value, path, Scope.ASSISTANT, found)
        return
    TEXTS.names(value, path, Scope.ASSISTANT, found)
    for key, child in value.items():
        if key == "output" and isinstance(child, list):
            for index, each in enumerate(child):
                first = len(found)
                item(each, (*path, key, index), Scope.ASSISTANT, found)
                if isinstance(each, dict) and each.get("type") == "message":
                    _join(found[first:], (*path, key, index))
        elif child:
            scope = Scope.SYSTEM if key in _OPERATOR else Scope.USER if key in _CALLER else Scope.ASSISTANT
            TEXTS.member(key, child, path, scope, found)


def _join(spans: list[Span], path: Path) -> None:
    """Tell which texts of a message its stream would say as one: those of all its parts, and all in which it declines."""
    for span in spans:
        rest = span.path[len(path) :]
        if len(rest) == 3 and rest[0] == "content" and rest[2] in ("text", "refusal") and not span.fixed:
            span.track = (path, rest[2])


def _listed(value: Any, path: Path, key: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The objects in the list ``key`` of an object."""
    children = value.get(key) if isinstance(value, dict) else None
    for index, child in enumerate(children if isinstance(children, list) else ()):
        if isinstance(child, dict):
            yield (*path, key, index), child


def _with_tokens(body: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Everything in an answer or event that can have log probabilities of its text."""
    yield (), body
    inner = body.get("response")
    for path, holder in (((), body), (("response",), inner)):
        for at, each in _listed(holder, path, "output"):
            yield from _listed(each, at, "content")
    yield from _listed(body.get("item"), ("item",), "content")
    if isinstance(shown := body.get("part"), dict):
        yield ("part",), shown


def echoes(body: dict[str, Any], changed: Set[Path]) -> list[Path]:
    """Log probabilities of texts that were redacted, or that say something else than their text."""
    found: list[Path] = []
    for path, holder in _with_tokens(body):
        if tokens := holder.get("logprobs"):
            name = "delta" if "delta" in holder else "text"
            if (*path, name) in changed or holder.get(name) != spelled(tokens):
                found.append((*path, "logprobs"))
    return found
