"""Requests written for Anthropic."""

from extproc.chat.codec import Context
from extproc.chat.losses import Losses
from extproc.chat.parts import Message, Text
from extproc.chat.request import Request, Tool
from extproc.formats.anthropic import AnthropicCodec

CODEC = AnthropicCodec()
CONTEXT = Context("r1", "asked", 17)
OLD, MIDDLE, NEW = "claude-sonnet-4-5-20250929", "claude-opus-4-6", "claude-opus-4-8"
TOOL = Tool("look", "Looks.", {"type": "object", "properties": {"q": {"type": "string"}}})


def user(*parts):
    return Message("user", [Text(part) if isinstance(part, str) else part for part in parts], where=("messages", 0))


def assistant(*parts):
    return Message(
        "assistant", [Text(part) if isinstance(part, str) else part for part in parts], where=("messages", 1)
    )


def encoded(*messages, model=MIDDLE, **more):
    """(body, losses) of a request."""
    losses = Losses()
    body = CODEC.encode_request(Request(model, list(messages) or [user("hi")], **more), losses)
    return body, losses.found


def talk(*messages):
    """The turns, each a role and its texts or types of blocks."""
    body, _ = encoded(*messages)
    return [(turn["role"], [each.get("text", each["type"]) for each in turn["content"]]) for turn in body["messages"]]
