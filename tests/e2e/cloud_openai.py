"""OpenAI's API, Azure's of it, and that of a compatible server (chat alone, with thoughts in ``reasoning_content``).

Source: OpenAI API reference (chat, responses, completions, embeddings, images, audio, moderations); Azure OpenAI REST API.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any

from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from openai.types.chat.completion_create_params import CompletionCreateParamsBase
from openai.types.responses import ResponseInputItemParam, ToolParam
from openai.types.responses.response_create_params import ResponseCreateParamsBase

from tests.e2e.cloud import Cloud, data, invalid, refused, said, strangers, streamed
from tests.e2e.scenes import CACHED, COMPLAINT, INPUT, MAIL, OUTPUT, Scene
from tests.e2e.upstream import Behaviour, Received, respond

DONE = b"data: [DONE]\n\n"
OTHERS = (
    "/completions",
    "/embeddings",
    "/images/generations",
    "/audio/speech",
    "/audio/transcriptions",
    "/moderations",
)
SOUND = b"ID3\x04\x00fake sound"


class OpenAI(Cloud):
    """OpenAI itself."""

    extra = frozenset({"openai-beta"})
    prefix = "/v1"
    key = "sk-provider-openai-MARKER0123456789"
    model = "gpt-4o"
    thinks = False
    speaks = ("/chat/completions", "/responses", *OTHERS)

    def credential(self, received: Received) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    def path(self, received: Received) -> str:
        assert received.target.startswith(self.prefix), received.target
        return received.target.removeprefix(self.prefix)

    def wrong(self, received: Received) -> Iterable[str]:
        path = self.path(received)
        if path not in self.speaks:
            return [f"no such path: {path}"]
        if path == "/audio/transcriptions":
            return [] if b'name="model"' in received.body else ["no model"]
        body = received.json()
        found = [f"model {body.get('model')}"] if body.get("model") != self.model else []
        if path == "/chat/completions":
            found += _wrong_chat(body)
        elif path == "/responses":
            found += _wrong_responses(body)
        return found

    def answer(self, received: Received, scene: Scene) -> Behaviour:
        body = received.json()
        if self.path(received) == "/responses":
            return streamed(_response_events(scene)) if body.get("stream") else said(_response(scene))
        if not body.get("stream"):
            return said(_completion(scene, self.thinks))
        usage = (body.get("stream_options") or {}).get("include_usage") is True
        return streamed(_chunks(scene, self.thinks, usage))

    def error(self, status: int, received: Received) -> Behaviour:
        kind = {429: "rate_limit_error", 400: "invalid_request_error"}.get(status, "server_error")
        return refused(status, {"error": {"message": COMPLAINT, "type": kind, "param": None, "code": None}})

    def other(self, received: Received) -> Behaviour | None:
        path = self.path(received)
        return _others(path, received) if path in OTHERS else None


class Compatible(OpenAI):
    """A server of one's own: chat, completions and embeddings, thoughts in a member of its own."""

    prefix = "/house/v1"
    key = "sk-provider-compatible-MARKER0123456789"
    model = "qwen3"
    thinks = True
    speaks = ("/chat/completions", "/completions", "/embeddings")


class Azure(OpenAI):
    """Azure's v1 API: the deployment is the model."""

    extra = frozenset()
    prefix = "/openai/v1"
    key = "azureproviderMARKER0123456789"
    model = "main"
    speaks = tuple(each for each in OpenAI.speaks if each != "/moderations")

    def credential(self, received: Received) -> Mapping[str, str]:
        return {"api-key": self.key}


class AzureClassic(Azure):
    """Azure's API of dated versions: the deployment stands in the path, of responses in the body."""

    key = "azureclassicMARKER0123456789"
    version = "2025-03-01-preview"

    def path(self, received: Received) -> str:
        path, _, query = received.target.partition("?")
        assert query == f"api-version={self.version}", query
        prefix = "/openai" if path == "/openai/responses" else f"/openai/deployments/{self.model}"
        assert path.startswith(prefix), path
        return path.removeprefix(prefix)


# requests


def _wrong_chat(body: dict[str, Any]) -> list[str]:
    found = list(strangers(CompletionCreateParamsBase, {k: v for k, v in body.items() if k != "stream"}))
    for index, each in enumerate(body["messages"]):
        found += invalid(ChatCompletionMessageParam, each, f"messages[{index}]")
    for each in body.get("tools") or []:
        found += invalid(ChatCompletionToolParam, each, "tools")
    called: list[str] = []
    for each in body["messages"]:
        if each["role"] == "tool":
            if each["tool_call_id"] not in called:
                found.append(f"a result of no call: {each['tool_call_id']}")
            called = [name for name in called if name != each["tool_call_id"]]
        elif called:
            found.append(f"calls without results: {called}")
        called += [call["id"] for call in each.get("tool_calls") or []]
    return found


def _wrong_responses(body: dict[str, Any]) -> list[str]:
    found = list(strangers(ResponseCreateParamsBase, {k: v for k, v in body.items() if k != "stream"}))
    items = body["input"] if isinstance(body["input"], list) else []
    for index, each in enumerate(items):
        found += invalid(ResponseInputItemParam, each, f"input[{index}]")
    for each in body.get("tools") or []:
        found += invalid(ToolParam, each, "tools")
    called = {each["call_id"] for each in items if each.get("type") == "function_call"}
    given = {each["call_id"] for each in items if each.get("type") == "function_call_output"}
    return [*found, *([f"calls {called}, results {given}"] if called != given else [])]


# chat


def _usage(scene: Scene) -> dict[str, Any]:
    return {
        "prompt_tokens": INPUT, "completion_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT,
        "prompt_tokens_details": {"cached_tokens": CACHED, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": scene.reasoning, "audio_tokens": 0},
    }  # fmt: skip


def _completion(scene: Scene, thinks: bool) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": scene.text or None, "refusal": None, "annotations": []}
    if thinks and scene.thoughts:
        message["reasoning_content"] = scene.thought
    if scene.calls:
        message["tool_calls"] = [
            {"id": each.id, "type": "function", "function": {"name": each.name, "arguments": each.arguments}}
            for each in scene.calls
        ]
    finish = "tool_calls" if scene.calls else "stop"
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": "gpt-4o-2024-08-06",
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
            "usage": _usage(scene), "service_tier": "default", "system_fingerprint": "fp_1"}  # fmt: skip


def _chunks(scene: Scene, thinks: bool, usage: bool) -> list[bytes]:
    def chunk(delta: dict[str, Any] | None, finish: str | None = None, **more: Any) -> bytes:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
        base = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1700000000,
            "model": "gpt-4o-2024-08-06",
        }
        return data({**base, "choices": choices, **({"usage": None} if usage and not more else {}), **more})

    found = [chunk({"role": "assistant", "content": "" if scene.pieces else None, "refusal": None})]
    if thinks:
        found += [chunk({"reasoning_content": piece}) for piece in scene.thoughts]
    found += [chunk({"content": piece}) for piece in scene.pieces]
    for index, call in enumerate(scene.calls):
        first = {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        found.append(chunk({"tool_calls": [first]}))
        found += [chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}) for piece in call.pieces]
    found.append(chunk({}, "tool_calls" if scene.calls else "stop"))
    return [*found, *([chunk(None, usage=_usage(scene))] if usage else []), DONE]


# responses


def _items(scene: Scene) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if scene.thoughts:
        summary = [{"type": "summary_text", "text": scene.thought}]
        found.append({"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": None})
    if scene.pieces:
        part = {"type": "output_text", "text": scene.text, "annotations": [], "logprobs": []}
        found.append({"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [part]})
    found += [
        {"type": "function_call", "id": f"fc_{each.id}", "call_id": each.id, "status": "completed", "name": each.name,
         "arguments": each.arguments}
        for each in scene.calls
    ]  # fmt: skip
    return found


def _response(scene: Scene, status: str = "completed") -> dict[str, Any]:
    done = status == "completed"
    usage = {
        "input_tokens": INPUT, "input_tokens_details": {"cached_tokens": CACHED}, "output_tokens": OUTPUT,
        "output_tokens_details": {"reasoning_tokens": scene.reasoning}, "total_tokens": INPUT + OUTPUT,
    }  # fmt: skip
    return {
        "id": "resp_1", "object": "response", "created_at": 1700000000, "status": status, "error": None,
        "incomplete_details": None, "instructions": None, "max_output_tokens": None, "model": "gpt-4o-2024-08-06",
        "output": _items(scene) if done else [], "parallel_tool_calls": True, "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None}, "store": True, "temperature": 1.0,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "truncation": "disabled", "usage": usage if done else None, "metadata": {},
    }  # fmt: skip


def _response_events(scene: Scene) -> list[bytes]:
    found: list[bytes] = []

    def event(kind: str, **more: Any) -> None:
        found.append(data({"type": kind, "sequence_number": len(found), **more}, kind))

    event("response.created", response=_response(scene, "in_progress"))
    event("response.in_progress", response=_response(scene, "in_progress"))
    for index, item in enumerate(_items(scene)):
        where = {"item_id": item["id"], "output_index": index}
        empty = {"summary": [], "content": [], "arguments": ""}
        begun = {**item, **{name: value for name, value in empty.items() if name in item}}
        begun |= {"status": "in_progress"} if "status" in item else {}
        event("response.output_item.added", output_index=index, item=begun)
        if item["type"] == "function_call":
            call = next(each for each in scene.calls if each.id == item["call_id"])
            for piece in call.pieces:
                event("response.function_call_arguments.delta", **where, delta=piece)
            event("response.function_call_arguments.done", **where, name=call.name, arguments=call.arguments)
        elif item["type"] == "reasoning":
            at = {**where, "summary_index": 0}
            event("response.reasoning_summary_part.added", **at, part={"type": "summary_text", "text": ""})
            for piece in scene.thoughts:
                event("response.reasoning_summary_text.delta", **at, delta=piece)
            event("response.reasoning_summary_text.done", **at, text=scene.thought)
            event("response.reasoning_summary_part.done", **at, part=item["summary"][0])
        else:
            at = {**where, "content_index": 0}
            event("response.content_part.added", **at, part={**item["content"][0], "text": ""})
            for piece in scene.pieces:
                event("response.output_text.delta", **at, delta=piece, logprobs=[])
            event("response.output_text.done", **at, text=scene.text, logprobs=[])
            event("response.content_part.done", **at, part=item["content"][0])
        event("response.output_item.done", output_index=index, item=item)
    event("response.completed", response=_response(scene))
    return found


# the other operations


def _others(path: str, received: Received) -> Behaviour:
    usage = {"prompt_tokens": INPUT, "completion_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT}
    if path == "/audio/speech":
        return respond(200, SOUND, [("content-type", "audio/mpeg")])
    if path == "/audio/transcriptions":
        return said({"text": f"Call {MAIL} now.", "usage": {"type": "duration", "seconds": 3}})
    if path == "/embeddings":
        body = received.json()
        asked = body["input"] if isinstance(body["input"], list) else [body["input"]]
        numbers: Any = [0.5, -0.25]
        if body.get("encoding_format") == "base64":
            numbers = base64.b64encode(b"\x00\x00\x00\x3f\x00\x00\x80\xbe").decode()
        vectors = [{"object": "embedding", "index": index, "embedding": numbers} for index, _ in enumerate(asked)]
        counted = {"prompt_tokens": INPUT, "total_tokens": INPUT}
        return said({"object": "list", "data": vectors, "model": "text-embedding-3-small", "usage": counted})
    if path == "/images/generations":
        picture = base64.b64encode(b"\x89PNG fake").decode()
        return said({"created": 1700000000, "data": [{"b64_json": picture, "revised_prompt": f"A cat of {MAIL}"}]})
    if path == "/moderations":
        names = ("hate", "harassment", "violence", "sexual", "self-harm")
        flags, scores = dict.fromkeys(names, False), dict.fromkeys(names, 0.01)
        result = {"flagged": False, "categories": flags, "category_scores": scores, "category_applied_input_types": {}}
        return said({"id": "modr-1", "model": "omni-moderation-latest", "results": [result]})
    choice = {"index": 0, "text": f"Write to {MAIL}.", "logprobs": None, "finish_reason": "stop"}
    whole = {"id": "cmpl-1", "object": "text_completion", "created": 1700000000, "model": "gpt-3.5-turbo-instruct"}
    if not json.loads(received.body).get("stream"):
        return said({**whole, "choices": [choice], "usage": usage})
    pieces = [{**choice, "text": text, "finish_reason": None} for text in ("Write to jane", ".doe@exa", "mple.com.")]
    ends = [*pieces, {**choice, "text": ""}]
    return streamed([*(data({**whole, "choices": [each]}) for each in ends), DONE])
