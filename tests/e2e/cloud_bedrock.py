"""Amazon Bedrock Runtime: Converse and InvokeModel, whole and streamed; signatures are checked by botocore's own signer.

Source: Amazon Bedrock API reference; "Anthropic Claude Messages API" of its user guide.
"""

from __future__ import annotations

import base64
import datetime
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from unittest import mock
from urllib.parse import unquote

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.validate import ParamValidator

from tests.e2e import cloud_anthropic
from tests.e2e.cloud import Cloud, message, refused, said, streamed
from tests.e2e.scenes import CACHED, COMPLAINT, INPUT, OUTPUT, SCENES, Scene
from tests.e2e.upstream import Behaviour, Received

KEYS = ("AKIAPROVIDERMARKER00", "awsprovidersecretMARKER0123456789", "awsprovidersessionMARKER0123456789")
REGION = "eu-west-1"
SIGNATURE = "c2lnbmVkIGJ5IGJlZHJvY2s="
MEDIA = [("content-type", "application/vnd.amazon.eventstream")]
NOVA, CLAUDE = "amazon.nova-lite-v1:0", "anthropic.claude-sonnet-4-5-20250929-v1:0"
_SERVICE = botocore.session.Session().get_service_model("bedrock-runtime")
_PATH = re.compile(r"/model/([^/]+)/([a-z-]+)")


class Bedrock(Cloud):
    """With signatures."""

    def credential(self, received: Received) -> Mapping[str, str]:
        at = datetime.datetime.strptime(str(received.header("x-amz-date")), "%Y%m%dT%H%M%SZ")
        url = f"http://{received.header('host')}{received.target}"
        content = {"content-type": str(received.header("content-type"))}
        request = AWSRequest("POST", url, headers=content, data=received.body)
        with mock.patch("botocore.auth.get_current_datetime", return_value=at):
            SigV4Auth(Credentials(*KEYS), "bedrock", REGION).add_auth(request)
        return {name.lower(): value for name, value in request.headers.items() if name.lower() != "content-type"}

    def asked(self, received: Received) -> tuple[str, str]:
        """The model and the operation."""
        found = _PATH.fullmatch(received.target)
        assert found, f"no such path: {received.target}"
        model = unquote(found[1])
        assert model in (NOVA, CLAUDE), f"model {model}"
        return model, found[2]

    def wrong(self, received: Received) -> Iterable[str]:
        model, method = self.asked(received)
        body = received.json()
        if method == "count-tokens":
            return [] if "input" in body else ["no input"]
        if method in ("converse", "converse-stream"):
            return _wrong(model, body)
        found = [] if body.get("anthropic_version") == "bedrock-2023-05-31" else ["no version in the body"]
        found += [f"{name} in the body" for name in ("model", "stream") if name in body]
        return [*found, *cloud_anthropic.wrong_message(body, frozenset({"anthropic_version", "anthropic_beta"}))]

    def answer(self, received: Received, scene: Scene) -> Behaviour:
        method = self.asked(received)[1]
        if method == "converse":
            return said(_whole(scene))
        if method == "invoke":
            return said(cloud_anthropic.whole(scene))
        found = _events(scene) if method == "converse-stream" else _invoked(scene)
        return streamed([message(kind, value) for kind, value in found], MEDIA)

    def error(self, status: int, received: Received) -> Behaviour:
        name = {429: "ThrottlingException", 400: "ValidationException"}.get(status, "InternalServerException")
        return refused(status, {"message": COMPLAINT}, [("x-amzn-errortype", name)])

    def other(self, received: Received) -> Behaviour | None:
        return said({"inputTokens": INPUT}) if received.target.endswith("/count-tokens") else None


class BedrockKey(Bedrock):
    """With an API key."""

    key = "bedrock-api-key-MARKER0123456789"

    def credential(self, received: Received) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.key}"}


def _wrong(model: str, body: dict[str, Any]) -> list[str]:
    shape = _SERVICE.operation_model("Converse").input_shape
    found = [f"a member called {name}" for name in body if name not in shape.members or name == "modelId"]
    found += _unknown(shape, body, "")
    report = ParamValidator().validate({**body, "modelId": model}, shape)
    if report.has_errors():
        found.append(report.generate_report())
    found += _wrong_thoughts(model, body)
    called: set[str] = set()
    for turn in body["messages"]:
        given = {each["toolResult"]["toolUseId"] for each in turn["content"] if "toolResult" in each}
        if given != called:
            found.append(f"calls {called}, results {given}")
        called = {each["toolUse"]["toolUseId"] for each in turn["content"] if "toolUse" in each}
    return found


def _wrong_thoughts(model: str, body: dict[str, Any]) -> list[str]:
    """As Claude's own API has it."""
    signed = [{"text": each.thought, "signature": SIGNATURE} for each in SCENES.values() if each.thoughts]
    thinks = (body.get("additionalModelRequestFields") or {}).get("thinking", {}).get("type") == "enabled"
    found: list[str] = []
    for turn in body["messages"]:
        thoughts = [each["reasoningContent"] for each in turn["content"] if "reasoningContent" in each]
        found += [
            f"thoughts that nobody signed: {each}" for each in thoughts if each.get("reasoningText") not in signed
        ]
        calls = any("toolUse" in each for each in turn["content"])
        if calls and thinks and model == CLAUDE and "reasoningContent" not in turn["content"][0]:
            found.append(f"a turn of calls that does not begin with thoughts: {turn}")
    return found


def _unknown(shape: Any, value: Any, where: str) -> list[str]:
    """Members that the service does not know, however deep."""
    if shape.type_name == "structure" and isinstance(value, dict) and not getattr(shape, "is_document_type", False):
        found = [f"{where}.{name} is not known" for name in value if name not in shape.members]
        members = [(name, each) for name, each in value.items() if name in shape.members]
        return found + [
            line for name, each in members for line in _unknown(shape.members[name], each, f"{where}.{name}")
        ]
    if shape.type_name == "list" and isinstance(value, list):
        return [line for each in value for line in _unknown(shape.member, each, f"{where}[]")]
    return []


_USAGE = {"inputTokens": INPUT - CACHED, "outputTokens": OUTPUT, "totalTokens": INPUT + OUTPUT,
          "cacheReadInputTokens": CACHED, "cacheWriteInputTokens": 0}  # fmt: skip


def _stop(scene: Scene) -> str:
    return "tool_use" if scene.calls else "end_turn"


def _whole(scene: Scene) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    if scene.thoughts:
        content.append({"reasoningContent": {"reasoningText": {"text": scene.thought, "signature": SIGNATURE}}})
    if scene.pieces:
        content.append({"text": scene.text})
    content += [
        {"toolUse": {"toolUseId": f"tooluse_{each.id}", "name": each.name, "input": each.value}} for each in scene.calls
    ]
    turn = {"role": "assistant", "content": content}
    return {"output": {"message": turn}, "stopReason": _stop(scene), "usage": _USAGE, "metrics": {"latencyMs": 5}}


def _events(scene: Scene) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = [("messageStart", {"role": "assistant"})]
    index = 0

    def block(deltas: list[dict[str, Any]], start: dict[str, Any] | None = None) -> None:
        nonlocal index
        at = {"contentBlockIndex": index}
        found.extend([("contentBlockStart", {**at, "start": start})] if start else [])
        found.extend(("contentBlockDelta", {**at, "delta": delta}) for delta in deltas)
        found.append(("contentBlockStop", at))
        index += 1

    if scene.thoughts:
        signed = {"reasoningContent": {"signature": SIGNATURE}}
        block([*({"reasoningContent": {"text": piece}} for piece in scene.thoughts), signed])
    if scene.pieces:
        block([{"text": piece} for piece in scene.pieces])
    for call in scene.calls:
        start = {"toolUse": {"toolUseId": f"tooluse_{call.id}", "name": call.name}}
        block([{"toolUse": {"input": piece}} for piece in call.pieces], start)
    found.append(("messageStop", {"stopReason": _stop(scene)}))
    return [*found, ("metadata", {"usage": _USAGE, "metrics": {"latencyMs": 5}})]


def _invoked(scene: Scene) -> list[tuple[str, dict[str, Any]]]:
    events = cloud_anthropic.stream(scene)
    events[-1]["amazon-bedrock-invocationMetrics"] = {
        "inputTokenCount": INPUT - CACHED, "outputTokenCount": OUTPUT, "invocationLatency": 5, "firstByteLatency": 3,
    }  # fmt: skip
    return [("chunk", {"bytes": base64.b64encode(json.dumps(each).encode()).decode()}) for each in events]
