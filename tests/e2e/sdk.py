"""Real SDKs, each asked in the same words: what a user of it would write for every scene, and what they would read.

Every client has ``ask``; what differs between the SDKs stays in its class.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import anthropic
import boto3
import openai
import pydantic
from anthropic.lib.streaming._messages import accumulate_event
from botocore.config import Config
from google import genai
from google.genai import types

from tests.e2e.scenes import OTHER_MAIL, RESULT_MAIL, WEATHER

KEYS = {
    "openai": "sk-client-openai-MARKER0123456789",
    "anthropic": "sk-ant-client-MARKER0123456789",
    "gemini": "AIza-client-gemini-MARKER0123456789",
    "access": "AKIACLIENTMARKER0000",
    "secret": "awsclientsecretMARKER0123456789",
    "session": "awsclientsessionMARKER0123456789",
}
"""What clients come with; none of it may reach a provider."""
DESCRIPTION = "Tells somebody the weather."
FIRST = {"result": "tool", "pondered": "ponder"}
"""Conversations in which a tool is called and gives its result, by the scene they begin with."""
WITH_TOOLS = ("tool", "tools", *FIRST)
THINKING = ("thinking", "pondered")


class Weather(pydantic.BaseModel):
    """What a structured answer is read as."""

    model_config = pydantic.ConfigDict(extra="forbid")
    city: str
    to: str


@dataclass
class Said:
    """An answer as its SDK gives it, in words that all share."""

    text: str = ""
    thought: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    finish: str = ""
    input: int = 0
    output: int = 0
    cached: int = 0
    parsed: Weather | None = None
    pieces: int = 1


class Client(Protocol):
    """One SDK and one of its APIs."""

    name: str

    @property
    def sdk(self) -> Any: ...

    def ask(self, model: str, scene: str, stream: bool) -> Said: ...


def prompt(scene: str) -> str:
    return f"scene-{scene}, for {OTHER_MAIL}."


RESULT = f"scene-result: rain, says {RESULT_MAIL}."


_REASONS = {
    "end_turn": "stop", "tool_use": "tool_calls", "completed": "stop", "max_tokens": "length", "incomplete": "length",
    "stop_sequence": "stop",
}  # fmt: skip


def finished(reason: Any) -> str:
    """A finish reason in OpenAI's words."""
    text = str(getattr(reason, "value", reason)).lower()
    return _REASONS.get(text, text)


def _cached(details: Any) -> int:
    return getattr(details, "cached_tokens", 0) or 0


def _weather(scene: str, text: str) -> Weather | None:
    return Weather.model_validate_json(text) if scene == "structured" else None


class OpenAIChat:
    """Chat completions."""

    name = "openai chat"

    def __init__(self, base: str) -> None:
        http = openai.DefaultHttpxClient(trust_env=False)
        self.sdk = openai.OpenAI(
            base_url=f"{base}/v1", api_key=KEYS["openai"], max_retries=0, timeout=20, http_client=http
        )

    def ask(self, model: str, scene: str, stream: bool) -> Said:
        asked: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": prompt(scene)}]}
        if scene in WITH_TOOLS:
            function = {"name": "get_weather", "description": DESCRIPTION, "parameters": WEATHER, "strict": True}
            asked["tools"] = [{"type": "function", "function": function}]
        if scene in THINKING:
            asked["reasoning_effort"] = "low"
        if scene == "structured":
            asked["response_format"] = Weather
        if scene in FIRST:
            asked["messages"][0]["content"] = prompt(FIRST[scene])
            first = self._said(asked, stream)[0].choices[0].message
            results = [{"role": "tool", "tool_call_id": each.id, "content": RESULT} for each in first.tool_calls or []]
            asked["messages"] += [first.to_dict(warnings=False), *results]
        found, pieces = self._said(asked, stream)
        message, usage = found.choices[0].message, found.usage
        return Said(
            message.content or "",
            (message.model_extra or {}).get("reasoning_content") or "",
            [(each.function.name, json.loads(each.function.arguments)) for each in message.tool_calls or []],
            finished(found.choices[0].finish_reason),
            usage.prompt_tokens, usage.completion_tokens, _cached(usage.prompt_tokens_details),
            getattr(message, "parsed", None), pieces,
        )  # fmt: skip

    def _said(self, asked: dict[str, Any], stream: bool) -> tuple[Any, int]:
        if not stream:
            whole = self.sdk.chat.completions.parse if "response_format" in asked else self.sdk.chat.completions.create
            return whole(**asked), 1
        with self.sdk.chat.completions.stream(**asked, stream_options={"include_usage": True}) as events:
            pieces = sum(each.type.endswith(".delta") for each in events)
            return events.get_final_completion(), pieces


class OpenAIResponses(OpenAIChat):
    """Responses."""

    name = "openai responses"

    def ask(self, model: str, scene: str, stream: bool) -> Said:
        asked: dict[str, Any] = {"model": model, "input": [{"role": "user", "content": prompt(scene)}], "store": False}
        if scene in WITH_TOOLS:
            tool = {"name": "get_weather", "description": DESCRIPTION, "parameters": WEATHER, "strict": True}
            asked["tools"] = [{"type": "function", **tool}]
        if scene in THINKING:
            asked["reasoning"] = {"effort": "low", "summary": "auto"}
        if scene == "structured":
            asked["text_format"] = Weather
        if scene in FIRST:
            asked["input"][0]["content"] = prompt(FIRST[scene])
            first = self._said(asked, stream)[0].output
            asked["input"] += [each.to_dict(warnings=False) for each in first]
            asked["input"] += [
                {"type": "function_call_output", "call_id": each.call_id, "output": RESULT}
                for each in first if each.type == "function_call"
            ]  # fmt: skip
        found, pieces = self._said(asked, stream)
        of = {kind: [each for each in found.output if each.type == kind] for kind in ("reasoning", "function_call")}
        usage = found.usage
        return Said(
            found.output_text,
            "".join(part.text for each in of["reasoning"] for part in (*each.summary, *(each.content or []))),
            [(each.name, json.loads(each.arguments)) for each in of["function_call"]],
            "tool_calls" if of["function_call"] and found.status == "completed" else finished(found.status),
            usage.input_tokens, usage.output_tokens, _cached(usage.input_tokens_details),
            getattr(found, "output_parsed", None), pieces,
        )  # fmt: skip

    def _said(self, asked: dict[str, Any], stream: bool) -> tuple[Any, int]:
        if not stream:
            return (self.sdk.responses.parse if "text_format" in asked else self.sdk.responses.create)(**asked), 1
        with self.sdk.responses.stream(**asked) as events:
            pieces = sum(each.type.endswith(".delta") for each in events)
            return events.get_final_response(), pieces


class Anthropic:
    """Messages."""

    name = "anthropic messages"

    def __init__(self, base: str) -> None:
        http = anthropic.DefaultHttpxClient(trust_env=False)
        self.sdk = anthropic.Anthropic(
            base_url=base, api_key=KEYS["anthropic"], max_retries=0, timeout=20, http_client=http
        )

    def ask(self, model: str, scene: str, stream: bool) -> Said:
        asked = claude_asked(scene) | {"model": model}
        if scene == "structured":
            asked["output_format"] = Weather
        if scene in FIRST:
            first = self._said(asked, stream)[0]
            asked["messages"] += claude_results([each.to_dict(warnings=False) for each in first.content])
        found, pieces = self._said(asked, stream)
        return claude_said(found.to_dict(warnings=False), getattr(found, "parsed_output", None), pieces)

    def _said(self, asked: dict[str, Any], stream: bool) -> tuple[Any, int]:
        if not stream:
            return (self.sdk.messages.parse if "output_format" in asked else self.sdk.messages.create)(**asked), 1
        with self.sdk.messages.stream(**asked) as events:
            pieces = sum(each.type == "content_block_delta" for each in events)
            return events.get_final_message(), pieces


def claude_asked(scene: str) -> dict[str, Any]:
    """A request in Anthropic's shape."""
    asked: dict[str, Any] = {
        "max_tokens": 4000,
        "messages": [{"role": "user", "content": prompt(FIRST.get(scene, scene))}],
    }
    if scene in WITH_TOOLS:
        asked["tools"] = [{"name": "get_weather", "description": DESCRIPTION, "input_schema": WEATHER}]
    if scene in THINKING:
        asked["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    return asked


def claude_results(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The turns after an answer that calls tools."""
    results = [
        {"type": "tool_result", "tool_use_id": each["id"], "content": RESULT}
        for each in content if each["type"] == "tool_use"
    ]  # fmt: skip
    return [{"role": "assistant", "content": content}, {"role": "user", "content": results}]


def claude_said(found: dict[str, Any], parsed: Weather | None, pieces: int) -> Said:
    """An answer in Anthropic's shape, read."""
    usage, content = found["usage"], found["content"]
    cached = usage.get("cache_read_input_tokens") or 0
    return Said(
        "".join(each["text"] for each in content if each["type"] == "text"),
        "".join(each["thinking"] for each in content if each["type"] == "thinking"),
        [(each["name"], each["input"]) for each in content if each["type"] == "tool_use"],
        finished(found["stop_reason"]),
        usage["input_tokens"] + cached + (usage.get("cache_creation_input_tokens") or 0),
        usage["output_tokens"], cached, parsed, pieces,
    )  # fmt: skip


class Gemini:
    """Google's SDK."""

    name = "google-genai"

    def __init__(self, base: str) -> None:
        options = types.HttpOptions(
            base_url=base, timeout=20_000, client_args={"trust_env": False},
            retry_options=types.HttpRetryOptions(attempts=1),
        )  # fmt: skip
        self.sdk = genai.Client(api_key=KEYS["gemini"], http_options=options)

    def ask(self, model: str, scene: str, stream: bool) -> Said:
        config = types.GenerateContentConfig()
        if scene in WITH_TOOLS:
            function = types.FunctionDeclaration(
                name="get_weather", description=DESCRIPTION, parameters_json_schema=WEATHER
            )
            config.tools = [types.Tool(function_declarations=[function])]
        if scene in THINKING:
            config.thinking_config = types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)
        if scene == "structured":
            config.response_mime_type = "application/json"
            config.response_schema = Weather
        first = prompt(FIRST.get(scene, scene))
        contents = [types.Content(role="user", parts=[types.Part.from_text(text=first)])]
        if scene in FIRST:
            parts = [part for each in self._said(model, contents, config, stream) for part in _parts(each)]
            contents.append(types.Content(role="model", parts=parts))
            given = [
                types.Part(function_response=types.FunctionResponse(
                    id=part.function_call.id, name=part.function_call.name, response={"result": RESULT}))
                for part in parts if part.function_call
            ]  # fmt: skip
            contents.append(types.Content(role="user", parts=given))
        return self._read(scene, self._said(model, contents, config, stream))

    def _read(self, scene: str, found: list[Any]) -> Said:
        parts = [part for each in found for part in _parts(each)]
        usage = found[-1].usage_metadata
        text = "".join(part.text or "" for part in parts if not part.thought)
        calls = [(part.function_call.name, part.function_call.args) for part in parts if part.function_call]
        finish = finished(found[-1].candidates[0].finish_reason)
        return Said(
            text,
            "".join(part.text or "" for part in parts if part.thought),
            calls,
            "tool_calls" if calls and finish == "stop" else finish,
            usage.prompt_token_count + (usage.tool_use_prompt_token_count or 0),
            (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
            usage.cached_content_token_count or 0,
            _weather(scene, text),
            len(found),
        )

    def _said(self, model: str, contents: Any, config: Any, stream: bool) -> list[Any]:
        models = self.sdk.models
        if stream:
            return list(models.generate_content_stream(model=model, contents=contents, config=config))
        return [models.generate_content(model=model, contents=contents, config=config)]


def _parts(answer: Any) -> list[Any]:
    return [part for each in answer.candidates or [] for part in (each.content.parts if each.content else None) or []]


class Converse:
    """boto3, Converse."""

    name = "boto3 converse"

    def __init__(self, base: str) -> None:
        self.sdk = boto3.client(
            "bedrock-runtime", region_name="us-east-1", endpoint_url=base,
            aws_access_key_id=KEYS["access"], aws_secret_access_key=KEYS["secret"], aws_session_token=KEYS["session"],
            config=Config(retries={"total_max_attempts": 1}, read_timeout=20, proxies={}),
        )  # fmt: skip

    def ask(self, model: str, scene: str, stream: bool) -> Said:
        first = prompt(FIRST.get(scene, scene))
        asked: dict[str, Any] = {
            "modelId": model,
            "messages": [{"role": "user", "content": [{"text": first}]}],
            "inferenceConfig": {"maxTokens": 4000},
        }
        if scene in WITH_TOOLS:
            spec = {"name": "get_weather", "description": DESCRIPTION, "inputSchema": {"json": WEATHER}}
            asked["toolConfig"] = {"tools": [{"toolSpec": spec}]}
        if scene in THINKING:
            asked["additionalModelRequestFields"] = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
        if scene == "structured":
            schema = {"schema": json.dumps(WEATHER), "name": "weather"}
            asked["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}
        if scene in FIRST:
            content = self._said(asked, stream)[0]
            results = [
                {"toolResult": {"toolUseId": each["toolUse"]["toolUseId"], "content": [{"text": RESULT}]}}
                for each in content if "toolUse" in each
            ]  # fmt: skip
            asked["messages"] += [{"role": "assistant", "content": content}, {"role": "user", "content": results}]
        content, stop, usage, pieces = self._said(asked, stream)
        text = "".join(each.get("text", "") for each in content)
        cached = usage.get("cacheReadInputTokens", 0)
        return Said(
            text,
            "".join(each["reasoningContent"]["reasoningText"]["text"] for each in content if "reasoningContent" in each),
            [(each["toolUse"]["name"], each["toolUse"]["input"]) for each in content if _called(each)],
            finished(stop),
            usage["inputTokens"] + cached + usage.get("cacheWriteInputTokens", 0), usage["outputTokens"], cached,
            _weather(scene, text), pieces,
        )  # fmt: skip

    def _said(self, asked: dict[str, Any], stream: bool) -> tuple[list[dict[str, Any]], str, dict[str, Any], int]:
        if not stream:
            found = self.sdk.converse(**asked)
            return found["output"]["message"]["content"], found["stopReason"], found["usage"], 1
        blocks: dict[int, dict[str, Any]] = {}
        stop, usage, pieces = "", {}, 0
        for event in self.sdk.converse_stream(**asked)["stream"]:
            (kind, value), = event.items()  # fmt: skip
            if kind == "contentBlockStart":
                blocks[value["contentBlockIndex"]] = {"toolUse": {**value["start"]["toolUse"], "input": ""}}
            elif kind == "contentBlockDelta":
                pieces += 1
                _add(blocks.setdefault(value["contentBlockIndex"], {}), value["delta"])
            stop = value["stopReason"] if kind == "messageStop" else stop
            usage = value["usage"] if kind == "metadata" else usage
        for each in blocks.values():
            if "toolUse" in each:
                each["toolUse"]["input"] = json.loads(each["toolUse"]["input"] or "{}")
        return list(blocks.values()), stop, usage, pieces


def _called(block: dict[str, Any]) -> bool:
    """Whether a block calls one of our tools, not one of the provider's own."""
    return "toolUse" in block and block["toolUse"].get("type") != "server_tool_use"


def _add(block: dict[str, Any], delta: dict[str, Any]) -> None:
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    elif "toolUse" in delta:
        block["toolUse"]["input"] += delta["toolUse"]["input"]
    else:
        said = block.setdefault("reasoningContent", {}).setdefault("reasoningText", {"text": ""})
        for name, value in delta["reasoningContent"].items():
            said[name] = said.get(name, "") + value


class Invoke(Converse):
    """boto3, InvokeModel with Claude's body."""

    name = "boto3 invoke"

    def ask(self, model: str, scene: str, stream: bool) -> Said:
        asked = claude_asked(scene) | {"anthropic_version": "bedrock-2023-05-31"}
        if scene == "structured":
            asked["output_config"] = {"format": {"type": "json_schema", "schema": WEATHER}}
        if scene in FIRST:
            asked["messages"] += claude_results(self._invoked(model, asked, stream)[0]["content"])
        found, pieces = self._invoked(model, asked, stream)
        said = claude_said(found, None, pieces)
        said.parsed = _weather(scene, said.text)
        return said

    def _invoked(self, model: str, asked: dict[str, Any], stream: bool) -> tuple[dict[str, Any], int]:
        body = json.dumps(asked)
        if not stream:
            return json.loads(self.sdk.invoke_model(modelId=model, body=body)["body"].read()), 1
        raw = self.sdk.invoke_model_with_response_stream(modelId=model, body=body)["body"]
        events = [json.loads(each["chunk"]["bytes"]) for each in raw]
        return _message(events), sum(each["type"] == "content_block_delta" for each in events)


def _message(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Anthropic's events put together by its own SDK's accumulator."""
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for each in [each for each in events if each["type"] != "ping"]:
        snapshot = accumulate_event(event=each, json_bufs=buffers, current_snapshot=snapshot) or snapshot
    return dict(snapshot.to_dict(warnings=False))


CLIENTS: dict[str, Callable[[str], Client]] = {
    each.name: each for each in (OpenAIChat, OpenAIResponses, Anthropic, Gemini, Converse, Invoke)
}
