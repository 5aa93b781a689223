"""Reasoning that only its maker can read, carried through clients that know OpenAI's form of it alone.

A client sends ``encrypted_content`` back as it came. Claude's signatures and Gemini's are put into it with their maker's
name in front, so that the maker gets them again. What is written looks like encoded data to guards, which it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from extproc.chat.parts import Part, Reasoning, ToolCall
from extproc.formats.base import Signed
from extproc.framing.jsontext import Path, dump

MAKER: Final = "openai"
_SEAL: Final = re.compile(r"extproc-([a-z]{0,16})-(c?)([0-9]{1,8})-(.*)", re.DOTALL)
"""The maker; ``c`` for a call's signature; how long the first of two values is; both. The first is a signature or a call's
id, the second what is sealed or a call's signature."""

_MEMBER: Final = "encrypted_content"
_CALL: Final = "\0call "
"""Before the id of a call whose signature a reasoning holds for the moment; no id of an item begins so."""


def seal(part: Reasoning) -> str:
    """Maker, signature and seal of a reasoning as ``encrypted_content``; empty for OpenAI's own that is not sealed."""
    if part.maker == MAKER and not part.signature and not _SEAL.fullmatch(part.sealed):
        return part.sealed
    return f"extproc-{part.maker}-{len(part.signature)}-{part.signature}{part.sealed}"


def seal_call(call: ToolCall) -> str:
    """The same for a call that its maker signed."""
    return f"extproc-{call.maker}-c{len(call.id)}-{call.id}{call.signature}"


BLANK: Final = dump(seal(Reasoning("")))
"""JSON of a seal with nothing in it. It still tells that the reasoning is not OpenAI's, who would look for it in vain."""


def opened(part: Reasoning, sealed: str) -> Reasoning:
    """The reasoning with what ``encrypted_content`` held. A call's signature is one that has the call's id: see ``signed``."""
    found = _SEAL.fullmatch(sealed)
    if found is None or int(found[3]) > len(found[4]):
        return replace(part, sealed=sealed, maker=MAKER)
    length = int(found[3])
    first, second = found[4][:length], found[4][length:]
    if found[2]:
        return replace(part, maker=found[1], signature=second, id=_CALL + first)
    return replace(part, maker=found[1], signature=first, sealed=second)


def signed(parts: list[Part]) -> list[Part]:
    """The parts of a turn, with the signatures of calls put where they belong."""
    calls = {part.id: part for part in parts if isinstance(part, ToolCall)}
    kept: list[Part] = []
    for part in parts:
        if isinstance(part, Reasoning) and part.id.startswith(_CALL):
            if call := calls.get(part.id.removeprefix(_CALL)):
                call.signature, call.maker = part.signature, part.maker
        else:
            kept.append(part)
    return kept


def foreign(body: dict[str, Any]) -> list[Path]:
    """The items of a request that OpenAI could not read: reasoning of other makers, which a client sends back."""
    items = body.get("input")
    return [("input", index) for index, item in enumerate(items if isinstance(items, list) else ()) if is_foreign(item)]


def is_foreign(item: Any) -> bool:
    """Whether an item is reasoning of another maker than OpenAI."""
    sealed = item.get(_MEMBER) if isinstance(item, dict) else None
    return isinstance(sealed, str) and _SEAL.fullmatch(sealed) is not None


def in_place(body: Any) -> Iterator[Signed]:
    """Reasoning of other makers in a request, a response or an event; see ``Format.signed``."""
    if not isinstance(body, dict):
        return
    response = body.get("response")
    lists = ((body, ("input",)), (body, ("output",)), (response, ("response", "output")))
    for holder, path in lists:
        items = holder.get(path[-1]) if isinstance(holder, dict) else None
        for index, item in enumerate(items if isinstance(items, list) else ()):
            if is_foreign(item):
                yield Signed((*path, index), (*path, index), _MEMBER, BLANK)
    if is_foreign(body.get("item")):
        yield Signed(("item",), ("item", str(body.get("output_index"))), _MEMBER, BLANK)
