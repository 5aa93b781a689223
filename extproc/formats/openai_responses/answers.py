"""Whole answers of the Responses API, read into the canonical form and written from it.

Source: OpenAI API reference, "Responses", "The response object".
"""

from __future__ import annotations

from typing import Any, Final

from extproc.chat.answer import Answer, Choice, Finish
from extproc.chat.codec import Context
from extproc.chat.losses import CITED, LOGPROBS, Losses
from extproc.chat.parts import Media, Native, Part, Reasoning, Refusal, Text, ToolCall
from extproc.errors import DecodeError
from extproc.formats.openai_responses import decode, seals, shapes
from extproc.formats.openai_responses.shapes import count, listed, string

_LOST: Final = {"annotations": CITED, "logprobs": LOGPROBS}
_REASONS: Final = {shapes.FILTERED: Finish.FILTER, shapes.TRUNCATED: Finish.LENGTH}


def decode_answer(body: Any, losses: Losses) -> Answer:
    """See ``Codec.decode_answer``."""
    if not isinstance(body, dict) or not isinstance(body.get("output"), list):
        raise DecodeError("an answer has no output")
    if body.get("status", "completed") not in ("completed", "incomplete"):
        raise DecodeError("the provider has not given an answer")
    parts = seals.signed([part for item in body["output"] for part in read_item(item)])
    for index, item in enumerate(body["output"]):
        lose(item, index, losses)
    choice = Choice(0, parts, finish(body, parts))
    used = shapes.read_usage(body.get("usage"))
    return Answer(string(body, "id"), string(body, "model"), created(body), [choice], used)


def created(response: Any) -> int:
    """When a response was made: Unix time in seconds, 0 where it does not tell."""
    made = response.get("created_at") if isinstance(response, dict) else None
    return int(made) if isinstance(made, float) and 0 <= made < 1 << 53 else count(response, "created_at")


def finish(response: Any, parts: list[Part]) -> Finish:
    """Why an answer ended, of which these are the parts."""
    if string(response, "status") == "incomplete":
        details = response.get("incomplete_details")
        return _REASONS.get(string(details, "reason"), Finish.OTHER)
    if any(isinstance(part, ToolCall) for part in parts):
        return Finish.TOOLS
    return Finish.REFUSAL if any(isinstance(part, Refusal) for part in parts) else Finish.STOP


def read_item(item: Any) -> list[Part]:
    """The parts an item of the output comes to.

    Raises:
        DecodeError: it is none.
    """
    if not isinstance(item, dict):
        raise DecodeError("an item of the output is not an object")
    kind = item.get("type")
    if kind == shapes.MESSAGE:
        return [part for each in listed(item, "content") if (part := read_part(each))]
    if kind == shapes.REASONING:
        return [part for part in decode.reasoning(item, ()) if part.text or part.sealed or part.signature]
    if kind in (shapes.CALL, shapes.CUSTOM_CALL):
        return [decode.tool_call(item, ())]
    if kind == shapes.IMAGE_CALL and string(item, "result"):
        form = string(item, "output_format") or "png"
        return [Media("image", data=item["result"], type=f"image/{form}")]
    return [Native(shapes.NAME, item)]


def lose(item: Any, index: int, losses: Losses) -> None:
    """Note what the parts of a message have that the canonical form has no place for."""
    if string(item, "type") == shapes.MESSAGE:
        for at, part in enumerate(listed(item, "content")):
            losses.add_members(part, _LOST, ("output", index, "content", at))


def read_part(part: Any) -> Part | None:
    """A part of a message; None for one that is not known."""
    kind = string(part, "type")
    if kind == "output_text":
        return Text(string(part, "text"))
    return Refusal(string(part, "refusal")) if kind == "refusal" else None


# writing


def identity(answer_id: str, context: Context) -> str:
    """The id of a response: the provider's, where it looks like one."""
    return answer_id if answer_id.startswith("resp_") else f"resp_{context.request_id}"


def head(answer_id: str, model: str, made: int, context: Context) -> dict[str, Any]:
    """A response of which nothing has been said."""
    return shapes.response(identity(answer_id, context), model or context.model, made or context.created)


def item_id(kind: str, context: Context, index: int) -> str:
    """The id of an item."""
    return f"{shapes.PREFIXES[kind]}_{context.request_id}_{index}"


def encode_answer(answer: Answer, context: Context, losses: Losses) -> dict[str, Any]:
    """See ``Codec.encode_answer``."""
    choice = answer.choices[0] if answer.choices else Choice()
    if len(answer.choices) > 1:
        losses.add(("choices", 1), "only one answer is given")
    output: list[dict[str, Any]] = []
    for part in choice.parts:
        shown = _shown(part)
        if shown and output and output[-1].get("type") == shapes.MESSAGE:
            output[-1]["content"].append(shown)
        elif shown:
            id_ = item_id(shapes.MESSAGE, context, len(output))
            output.append(shapes.message(id_, "completed", [shown]))
        elif item := write_item(part, context, len(output), losses):
            output.append(item)
            if isinstance(part, ToolCall) and part.signature:
                output.append(signed_call(item_id(shapes.REASONING, context, len(output)), part))
    used = shapes.usage(answer.usage) if answer.usage else None
    made = head(answer.id, answer.model, answer.created, context)
    return shapes.ended(made, reason(choice.finish, choice.parts, losses), output, used)


def _shown(part: Part) -> dict[str, Any] | None:
    if isinstance(part, Text):
        return shapes.text_part(part.text)
    return shapes.refusal_part(part.text) if isinstance(part, Refusal) else None


def write_item(
    part: Part, context: Context, index: int, losses: Losses, status: str = "completed"
) -> dict[str, Any] | None:
    """The item of its own that a part is; None where it cannot be said."""
    if isinstance(part, ToolCall):
        if part.custom:
            id_ = item_id(shapes.CUSTOM_CALL, context, index)
            return shapes.custom_call(id_, status, part.id, part.name, part.arguments)
        return shapes.call(item_id(shapes.CALL, context, index), status, part.id, part.name, part.arguments)
    if isinstance(part, Reasoning):
        id_ = item_id(shapes.REASONING, context, index)
        return shapes.reasoning(id_, status, part.text, seals.seal(part), summary=part.summary)
    if isinstance(part, Native) and part.format == shapes.NAME:
        return dict(part.value)
    if isinstance(part, Media) and part.medium == "image" and part.data:
        return shapes.image_call(item_id(shapes.IMAGE_CALL, context, index), part.data, part.type)
    losses.add(("output", index), "a part that is not known here")
    return None


def signed_call(id_: str, call: ToolCall) -> dict[str, Any]:
    """The item that carries what proves a call to its maker, for the client to send back."""
    return shapes.reasoning(id_, "completed", "", seals.seal_call(call), summary=True)


def reason(ended: Finish | None, parts: list[Part], losses: Losses) -> str:
    """Why a response is incomplete; empty where it is complete."""
    if ended is Finish.LENGTH:
        return shapes.TRUNCATED
    if ended is Finish.FILTER:
        return shapes.FILTERED
    if ended is Finish.REFUSAL:
        return "" if any(isinstance(part, Refusal) for part in parts) else shapes.FILTERED
    if ended in (Finish.STOP_SEQUENCE, Finish.PAUSE, Finish.OTHER):
        losses.add(("finish",), "no word for it")
    return ""
