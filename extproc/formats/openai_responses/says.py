"""What the gateway itself says in the Responses API: whole answers, whole streams, answers that are cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from extproc.chat.answer import Answer, Choice, Finish, Usage
from extproc.chat.codec import Context
from extproc.chat.fold import unfold
from extproc.chat.losses import Losses
from extproc.chat.parts import Text
from extproc.formats.openai_responses import answers, seals, shapes
from extproc.formats.openai_responses.writer import Encoder
from extproc.framing.jsontext import Path, dump


def _said(text: str, *, refuses: bool) -> Answer:
    return Answer(choices=[Choice(0, [Text(text)], Finish.FILTER if refuses else Finish.STOP)], usage=Usage())


def reply(text: str, model: str, request_id: str, created: int, *, refuses: bool) -> bytes:
    """See ``Format.reply``."""
    context = Context(request_id, model, created)
    return dump(answers.encode_answer(_said(text, refuses=refuses), context, Losses()))


def reply_stream(text: str, model: str, request_id: str, created: int, *, refuses: bool) -> bytes:
    """See ``Format.reply_stream``."""
    encoder = Encoder(Context(request_id, model, created), Losses())
    told = [encoder.encode(event) for event in unfold(_said(text, refuses=refuses))]
    return b"".join([*told, encoder.close()])


def cut(body: Any, path: Path, text: str) -> Mapping[Path, bytes]:
    """Edits that end an answer in the text at ``path``, which is in an item of its output.

    Nothing can be taken out, so what comes after becomes empty. A call that is cut is none any more.
    """
    output, index, at_part = body["output"], _number(path, 1), _number(path, 3)
    edits: dict[Path, bytes] = {
        ("status",): dump("incomplete"),
        ("incomplete_details",): dump({"reason": shapes.FILTERED}),
    }
    for at in range(index + 1, len(output)):
        edits["output", at] = _nothing(output[at])
    item = output[index]
    parts = item.get(path[2]) if isinstance(item, dict) else None
    if not isinstance(parts, list) or path[2] not in ("content", "summary"):
        return {**edits, ("output", index): _nothing(item)}
    edits[path] = dump(text)
    if seals.is_foreign(item):
        edits["output", index, "encrypted_content"] = seals.BLANK
    edits["output", index, "status"] = dump("incomplete")
    for at, part in enumerate(parts):
        tokens = part.get("logprobs") if isinstance(part, dict) else None
        if at == at_part and tokens:
            edits[(*path[:4], "logprobs")] = b"[]"
        elif at > at_part:
            empty = "refusal" if shapes.string(part, "type") == "refusal" else "text"
            edits[(*path[:3], at)] = dump({"type": shapes.string(part, "type"), empty: "", "annotations": []})
    if path[2] == "summary" and item.get("content"):
        edits["output", index, "content"] = b"[]"
    return edits


def _nothing(item: Any) -> bytes:
    """An item that says nothing, in the place of one."""
    return dump(shapes.message(shapes.string(item, "id"), "incomplete", []))


def _number(path: Path, step: int) -> int:
    number = path[step] if step < len(path) else 0
    return number if isinstance(number, int) else 0
