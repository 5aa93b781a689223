"""Thoughts in a request that its provider would refuse or could not read, and the request without them.

Clients send back what they were told. Claude takes a thought only with its signature, which is gone where a policy has edited
the text (see ``formats.signed``), and no empty text, which is what an answer has behind the place where it was cut; OpenAI
looks for reasoning that it has not made. All that is left out here, where the request goes on in the format it came in;
conversions leave it out by themselves.

Source: Claude documentation, "Extended thinking" (thoughts go back unchanged; with a budget, the turn that tools have just
answered must begin with one) and "Context editing" (thoughts can only be cleared while there is thinking).
"""

from __future__ import annotations

import re
from typing import Any, Final

from extproc.chat.losses import Losses
from extproc.formats.openai_responses import seals
from extproc.framing.jsonedit import EditPath
from extproc.framing.jsontext import REMOVED, edit, parse

_BLANK: Final = re.compile(rb'"(?:signature|text)"\s*:\s*""')
_ANTHROPIC: Final = frozenset({"anthropic-messages", "anthropic-count", "bedrock-invoke-anthropic"})
_CONVERSE: Final = "bedrock-converse"
_THOUGHTS: Final = frozenset({"thinking", "redacted_thinking"})
_FORCED: Final = "the turn it goes on with has no thoughts"


def suspected(format_: str, raw: bytes) -> bool:
    """Whether a body of this format may have such thoughts: cheap, and never wrong when it says no."""
    if format_ == "openai-responses":
        return b'"extproc-' in raw
    if format_ == _CONVERSE:
        return b'"reasoningText"' in raw or _blank(raw)
    return format_ in _ANTHROPIC and _blank(raw)


def _blank(raw: bytes) -> bool:
    return b'""' in raw and _BLANK.search(raw) is not None


def without(format_: str, model: str, raw: bytes, losses: Losses) -> bytes:
    """A request without them, ``raw`` itself where it has none; ``model`` is the provider's name of it.

    Only Claude's models are known to refuse unsigned thoughts: those of others need them back as they are.
    """
    if not suspected(format_, raw):
        return raw
    if format_ == "openai-responses":
        items = seals.foreign(parse(raw))
        for item in items:
            losses.add(item, "reasoning of another maker")
        return edit(raw, dict.fromkeys(items, REMOVED)) if items else raw
    claude = "claude" in model.lower()
    return _signed(raw, losses, strict=claude) if claude or format_ == _CONVERSE else raw


def unthought(turns: list[Any]) -> bool:
    """Whether the turn that tools have just answered does not begin with thoughts."""
    said, answered = (_blocks(turn) for turn in turns[-2:]) if len(turns) > 1 else ([], [])
    if not said or turns[-2].get("role") != "assistant" or not any(_is_result(each) for each in answered):
        return False
    first = said[0]
    return not (first.get("type") in _THOUGHTS or "reasoningContent" in first)


def _blocks(turn: Any) -> list[dict[str, Any]]:
    content = turn.get("content") if isinstance(turn, dict) else None
    return [each for each in content if isinstance(each, dict)] if isinstance(content, list) else []


def _is_result(block: dict[str, Any]) -> bool:
    return block.get("type") == "tool_result" or "toolResult" in block


def _refused(block: Any, *, strict: bool) -> str:
    """Why a block would be refused; ``strict``: also a thought that has not even room for a signature. Empty: it is fine."""
    if not isinstance(block, dict):
        return ""
    if block.get("text") == "":
        return "an empty text"
    told = block.get("reasoningContent")
    thought = (
        block if block.get("type") == "thinking" else told.get("reasoningText") if isinstance(told, dict) else None
    )
    unsigned = isinstance(thought, dict) and not thought.get("signature", "" if strict else "none")
    return "a thought without a signature" if unsigned else ""


def _signed(raw: bytes, losses: Losses, *, strict: bool) -> bytes:
    body = parse(raw)
    turns = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(turns, list):
        return raw
    edits: dict[EditPath, Any] = {}
    kept: list[Any] = []
    for index, turn in enumerate(turns):
        content = turn.get("content") if isinstance(turn, dict) and turn.get("role") == "assistant" else None
        blocks = content if isinstance(content, list) else []
        gone = {at: why for at, block in enumerate(blocks) if (why := _refused(block, strict=strict))}
        for at, why in gone.items():
            edits["messages", index, "content", at] = REMOVED
            losses.add(("messages", index, "content", at), why)
        left = [block for at, block in enumerate(blocks) if at not in gone]
        kept.append({**turn, "content": left} if gone else turn)
    if not edits:
        return raw
    if any(turn.get("content") == [] for turn in kept if isinstance(turn, dict)):
        kept = _joined(kept)
        edits = {("messages",): kept}
    return edit(raw, edits | (_thoughtless(body, losses) if unthought(kept) else {}))


def _joined(turns: list[Any]) -> list[Any]:
    """The turns that still say something. Roles alternate: neighbours of one role become one turn."""
    found: list[Any] = []
    for turn in turns:
        if not isinstance(turn, dict) or turn.get("content") != []:
            last = found[-1] if found else None
            if isinstance(turn, dict) and isinstance(last, dict) and last.get("role") == turn.get("role"):
                found[-1] = {**last, "content": _content(last) + _content(turn)}
            else:
                found.append(turn)
    return found


def _content(turn: dict[str, Any]) -> list[Any]:
    content = turn.get("content")
    return content if isinstance(content, list) else [{"type": "text", "text": content}]


def _thoughtless(body: dict[str, Any], losses: Losses) -> dict[EditPath, Any]:
    """Edits that turn thinking with a budget off, with what goes only with it."""
    edits: dict[EditPath, Any] = {}
    fields = body.get("additionalModelRequestFields")
    for holder, path in ((body, ()), (fields, ("additionalModelRequestFields",))):
        config = holder.get("thinking") if isinstance(holder, dict) else None
        if isinstance(config, dict) and config.get("type") == "enabled":
            edits[*path, "thinking"] = REMOVED
            losses.add((*path, "thinking"), _FORCED)
    context = body.get("context_management")
    clearing = context.get("edits") if isinstance(context, dict) and edits else None
    for index, each in enumerate(clearing if isinstance(clearing, list) else ()):
        if isinstance(each, dict) and str(each.get("type")).startswith("clear_thinking"):
            edits["context_management", "edits", index] = REMOVED
            losses.add(("context_management", "edits", index), "not without thinking")
    return edits
