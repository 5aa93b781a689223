"""Reasoning in chat messages, as compatible servers have it.

``reasoning_content`` (DeepSeek, vLLM, LiteLLM) and ``reasoning`` (OpenRouter, Groq) are plain text. ``reasoning_details`` is a
list that also holds what proves the text to its maker: ``reasoning.text`` with a signature, ``reasoning.summary``,
``reasoning.encrypted``, each with the ``format`` of the maker and the ``index`` of the thought; a Gemini call's signature is
an encrypted one under the call's id. ``thinking_blocks`` are Anthropic's blocks as LiteLLM passes them.

Sources: OpenRouter, "Reasoning Tokens"; LiteLLM, "Reasoning Content"; DeepSeek API, "Reasoning Model".
"""

from __future__ import annotations

from typing import Any, Final

from extproc.chat.answer import PartDelta
from extproc.chat.parts import Reasoning
from extproc.formats.openai_chat.checked import items, record, string
from extproc.framing.jsontext import Path

PLAIN: Final = ("reasoning_content", "reasoning", "thinking")
READ: Final = frozenset({*PLAIN, "reasoning_details", "thinking_blocks"})
"""Members of a message that are read here."""
_MAKERS: Final = {
    "anthropic-claude-v1": "claude",
    "openai-responses-v1": "openai",
    "azure-openai-responses-v1": "openai",
    "google-gemini-v1": "gemini",
    "unknown": "",
}
_FORMATS: Final = {"claude": "anthropic-claude-v1", "openai": "openai-responses-v1", "gemini": "google-gemini-v1"}


def read(message: dict[str, Any], where: Path) -> list[Reasoning]:
    """All reasoning of a whole message; a signature of a call is a sealed part with the call's id.

    Raises:
        DecodeError: it is not of the known shapes.
    """
    found: list[Reasoning] = []
    last: Reasoning | None = None
    last_index: Any = None
    for at, entry in enumerate(items(message.get("reasoning_details"), "reasoning_details")):
        detail = detailed(entry, (*where, "reasoning_details", at))
        index = entry.get("index")
        if last is None or index is None or last_index != index or not _goes_on(last, detail):
            found.append(detail)
            last, last_index = detail, index
        else:
            last.text += detail.text
            last.signature += detail.signature
            last.sealed += detail.sealed
            last.id = last.id or detail.id
    if not found:
        blocks = items(message.get("thinking_blocks"), "thinking_blocks")
        found = [_block(block, (*where, "thinking_blocks", at)) for at, block in enumerate(blocks)]
    text, name = plain(message)
    if text and not any(part.text for part in found):
        found.insert(0, Reasoning(text, where=(*where, name)))
    return found


def _goes_on(part: Reasoning, detail: Reasoning) -> bool:
    """Whether an entry of the same index belongs to the same thought: it is of the same maker, and nothing is there twice."""
    same = part.maker == detail.maker and not part.sealed
    return same and (not detail.text or part.summary == detail.summary)


def plain(message: dict[str, Any]) -> tuple[str, str]:
    """The reasoning that is plain text, and the member it stands in; several say the same."""
    for name in PLAIN:
        value = message.get(name)
        if isinstance(value, str) and value:
            return value, name
    return "", ""


def detailed(value: Any, where: Path) -> Reasoning:
    """One entry of ``reasoning_details``."""
    detail = record(value, "a reasoning detail")
    format_ = string(detail.get("format"), "format")
    summary = detail.get("type") == "reasoning.summary"
    return Reasoning(
        string(detail.get("summary" if summary else "text"), "reasoning text"),
        signature=string(detail.get("signature"), "signature"),
        sealed=string(detail.get("data"), "data"),
        maker=_MAKERS.get(format_, format_),  # one we do not know is nobody's but its own
        summary=summary,
        id=string(detail.get("id"), "id"),
        where=where,
    )


def _block(value: Any, where: Path) -> Reasoning:
    block = record(value, "a thinking block")
    return Reasoning(
        string(block.get("thinking"), "thinking"),
        signature=string(block.get("signature"), "signature"),
        sealed=string(block.get("data"), "data"),
        maker="claude",
        where=where,
    )


def is_plain(part: Reasoning) -> bool:
    """Whether a thought is no more than its text."""
    return not (part.maker or part.signature or part.sealed or part.summary or part.id)


def write(parts: list[Reasoning]) -> dict[str, Any]:
    """Members of a message."""
    text = "".join([part.text for part in parts])
    found: dict[str, Any] = {"reasoning_content": text} if text else {}
    if not all(is_plain(part) for part in parts):
        found["reasoning_details"] = [
            entry
            for index, part in enumerate(parts)
            for entry in entries(part, index, PartDelta(0, 0, part.text, part.signature, part.sealed))
        ]
    return found


def entries(part: Reasoning, index: int, delta: PartDelta) -> list[dict[str, Any]]:
    """What a delta of a thought adds to ``reasoning_details``."""
    common = {"format": _FORMATS.get(part.maker, part.maker) or "unknown", "index": index}
    if part.id:
        common = {"id": part.id, **common}
    found: list[dict[str, Any]] = []
    if delta.text or delta.signature:
        entry = {"summary": delta.text} if part.summary else {"text": delta.text}
        signed = {"signature": delta.signature} if delta.signature else {}
        found.append({"type": f"reasoning.{'summary' if part.summary else 'text'}", **entry, **signed, **common})
    if delta.sealed:
        found.append({"type": "reasoning.encrypted", "data": delta.sealed, **common})
    return found
