"""Anthropic's API, and Vertex AI's of Claude. Source: https://docs.anthropic.com/en/api; "Use Anthropic's Claude models"."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from anthropic._constants import ANTHROPIC_API_VERSION
from anthropic.types import MessageParam, ToolUnionParam
from anthropic.types.message_create_params import MessageCreateParamsBase

from tests.e2e.cloud import Cloud, data, invalid, refused, said, strangers, streamed
from tests.e2e.scenes import CACHED, COMPLAINT, INPUT, OUTPUT, SCENES, Scene
from tests.e2e.upstream import Behaviour, Received

VERSIONS = ("2023-06-01", ANTHROPIC_API_VERSION)
"""What the gateway says by itself, and what clients of the SDK say."""
SIGNATURE = "c2lnbmVkIGJ5IGNsYXVkZQ=="


class Anthropic(Cloud):
    """The API itself."""

    extra = frozenset({"anthropic-version", "anthropic-beta"})
    key = "sk-ant-provider-MARKER0123456789"
    model = "claude-sonnet-4-5"

    def credential(self, received: Received) -> Mapping[str, str]:
        return {"x-api-key": self.key}

    def wrong(self, received: Received) -> Iterable[str]:
        version = received.header("anthropic-version")
        found = [] if version in VERSIONS else [f"version {version}"]
        body = received.json()
        if body.get("model") != self.model:
            found.append(f"model {body.get('model')}")
        if received.target == "/v1/messages/count_tokens":
            return [*found, *wrong_turns(body)]
        if received.target != "/v1/messages":
            return [*found, "no such path"]
        return [*found, *wrong_message(body)]

    def answer(self, received: Received, scene: Scene) -> Behaviour:
        return streamed(events(scene)) if received.json().get("stream") else said(whole(scene))

    def error(self, status: int, received: Received) -> Behaviour:
        return refused(status, failure(status))

    def other(self, received: Received) -> Behaviour | None:
        return said({"input_tokens": INPUT}) if received.target.endswith("/count_tokens") else None


def failure(status: int) -> dict[str, Any]:
    kind = {429: "rate_limit_error", 400: "invalid_request_error"}.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": COMPLAINT}, "request_id": "req_1"}


def wrong_message(body: dict[str, Any], but: frozenset[str] = frozenset()) -> list[str]:
    """What the reference says against a body; ``but``: members that are known elsewhere."""
    known = {name: value for name, value in body.items() if name not in but | {"stream"}}
    found = [*strangers(MessageCreateParamsBase, known), *wrong_turns(body)]
    limit = body["max_tokens"]
    if not isinstance(limit, int) or limit < 1:
        found.append(f"max_tokens {limit}")
    thinking = body.get("thinking") or {}
    if thinking.get("budget_tokens", 0) >= limit:
        found.append("no room beside the thoughts")
    if thinking.get("type") == "enabled" and (body.get("temperature", 1) != 1 or "top_k" in body):
        found.append("thinking with a temperature")
    return found


def wrong_turns(body: dict[str, Any]) -> list[str]:
    """What is wrong with messages and tools."""
    found: list[str] = []
    called: set[str] = set()
    for index, turn in enumerate(body["messages"]):
        found += invalid(MessageParam, turn, f"messages[{index}]")
        blocks = turn["content"] if isinstance(turn["content"], list) else []
        given = {each["tool_use_id"] for each in blocks if each["type"] == "tool_result"}
        if given != called:
            found.append(f"calls {called}, results {given}")
        called = {each["id"] for each in blocks if each["type"] == "tool_use"}
        found += ["an empty text" for each in blocks if each["type"] == "text" and not each["text"].strip()]
    found += wrong_thoughts(body)
    if body["messages"][0]["role"] != "user":
        found.append("begins with the assistant")
    for each in body.get("tools") or []:
        found += invalid(ToolUnionParam, each, "tools")
    return found


def wrong_thoughts(body: dict[str, Any]) -> list[str]:
    """Thoughts that come back must be as they were signed; where the model is to think, they must stand before its calls."""
    signed = [each.thought for each in SCENES.values() if each.thoughts]
    found: list[str] = []
    for turn in body["messages"]:
        blocks = turn["content"] if isinstance(turn["content"], list) else []
        thoughts = [each for each in blocks if each["type"] == "thinking"]
        found += [
            f"thoughts that nobody signed: {each}"
            for each in thoughts if each["signature"] != SIGNATURE or each["thinking"] not in signed
        ]  # fmt: skip
        calls = any(each["type"] == "tool_use" for each in blocks)
        if calls and (body.get("thinking") or {}).get("type") == "enabled" and blocks[0]["type"] != "thinking":
            found.append(f"a turn of calls that does not begin with thoughts: {blocks}")
    return found


def blocks(scene: Scene) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if scene.thoughts:
        found.append({"type": "thinking", "thinking": scene.thought, "signature": SIGNATURE})
    if scene.pieces:
        found.append({"type": "text", "text": scene.text})
    return [*found, *({"type": "tool_use", "id": f"toolu_{each.id}", "name": each.name, "input": each.value}
                      for each in scene.calls)]  # fmt: skip


def _usage(output: int) -> dict[str, int]:
    return {"input_tokens": INPUT - CACHED, "cache_creation_input_tokens": 0, "cache_read_input_tokens": CACHED,
            "output_tokens": output}  # fmt: skip


def whole(scene: Scene) -> dict[str, Any]:
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929",
            "content": blocks(scene), "stop_reason": "tool_use" if scene.calls else "end_turn", "stop_sequence": None,
            "usage": _usage(OUTPUT)}  # fmt: skip


def stream(scene: Scene) -> list[dict[str, Any]]:
    """The events of an answer, without their framing."""
    opened = {**whole(scene), "content": [], "stop_reason": None, "usage": _usage(1)}
    found: list[dict[str, Any]] = [{"type": "message_start", "message": opened}, {"type": "ping"}]
    for index, block in enumerate(blocks(scene)):
        deltas: list[dict[str, str]] = []
        if block["type"] == "thinking":
            block = {**block, "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in scene.thoughts]
            deltas.append({"type": "signature_delta", "signature": SIGNATURE})
        elif block["type"] == "text":
            block = {**block, "text": ""}
            deltas = [{"type": "text_delta", "text": piece} for piece in scene.pieces]
        else:
            call = next(each for each in scene.calls if f"toolu_{each.id}" == block["id"])
            block = {**block, "input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *call.pieces)]
        found.append({"type": "content_block_start", "index": index, "content_block": block})
        found += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        found.append({"type": "content_block_stop", "index": index})
    ends = {"stop_reason": "tool_use" if scene.calls else "end_turn", "stop_sequence": None}
    return [
        *found,
        {"type": "message_delta", "delta": ends, "usage": {"output_tokens": OUTPUT}},
        {"type": "message_stop"},
    ]


def events(scene: Scene) -> list[bytes]:
    return [data(each, each["type"]) for each in stream(scene)]


def of_vertex(body: dict[str, Any]) -> list[str]:
    """What is wrong with a body for Claude on Vertex AI: the version stands in it, the model in the path."""
    found = [] if body.get("anthropic_version") == "vertex-2023-10-16" else ["no version in the body"]
    found += ["a model in the body"] if "model" in body else []
    return [*found, *wrong_message(body, frozenset({"anthropic_version"}))]


def dumped(scene: Scene) -> list[bytes]:
    """Events as Bedrock carries them."""
    return [json.dumps(each).encode() for each in stream(scene)]
