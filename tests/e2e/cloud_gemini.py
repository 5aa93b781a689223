"""Google's Gemini API, and Vertex AI with a service account: Gemini and Claude.

Source: https://ai.google.dev/api (generateContent, countTokens, embedContent); Vertex AI API reference.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from google.genai import types
from pydantic import ValidationError

from tests.e2e import cloud_anthropic
from tests.e2e.cloud import Cloud, data, refused, said, streamed
from tests.e2e.scenes import CACHED, COMPLAINT, INPUT, OUTPUT, Scene
from tests.e2e.upstream import Behaviour, Received

SIGNATURE = "c2lnbmVkIGJ5IGdlbWluaQ=="


class Gemini(Cloud):
    """The Gemini API."""

    key = "AIza-provider-gemini-MARKER0123456789"
    model = "gemini-2.5-flash"
    paths = re.compile(r"/v1beta/models/([^/:]+):([A-Za-z]+)(\?alt=sse)?")

    def credential(self, received: Received) -> Mapping[str, str]:
        return {"x-goog-api-key": self.key}

    def method(self, received: Received) -> str:
        found = self.paths.fullmatch(received.target)
        assert found, f"no such path: {received.target}"
        assert found[1] == self.model, f"model {found[1]}"
        assert (found[2] == "streamGenerateContent") == bool(found[3]), received.target
        return found[2]

    def wrong(self, received: Received) -> Iterable[str]:
        method, body = self.method(received), received.json()
        if method in ("generateContent", "streamGenerateContent"):
            return _wrong(body)
        for each in body["requests"] if method == "batchEmbedContents" else [body]:
            if each.get("model", f"models/{self.model}") != f"models/{self.model}":
                return [f"model {each['model']}"]
        wanted = {"countTokens": "contents", "embedContent": "content", "batchEmbedContents": "requests"}[method]
        return [] if wanted in body else [f"no {wanted}"]

    def answer(self, received: Received, scene: Scene) -> Behaviour:
        stream = self.method(received) == "streamGenerateContent"
        media = [("content-type", "text/event-stream")]
        return streamed(events(scene), media) if stream else said(whole(scene))

    def error(self, status: int, received: Received) -> Behaviour:
        name = {429: "RESOURCE_EXHAUSTED", 400: "INVALID_ARGUMENT"}.get(status, "INTERNAL")
        return refused(status, {"error": {"code": status, "message": COMPLAINT, "status": name}})

    def other(self, received: Received) -> Behaviour | None:
        method = self.method(received)
        if method == "countTokens":
            return said({"totalTokens": INPUT, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": INPUT}]})
        if method == "embedContent":
            return said({"embedding": {"values": [0.5, -0.25]}})
        if method == "batchEmbedContents":
            return said({"embeddings": [{"values": [0.5, -0.25]} for _ in received.json()["requests"]]})
        return None


class Vertex(Gemini):
    """Vertex AI. It gives tokens too, to who shows a claim that its service account has signed."""

    token = "ya29.provider-vertex-MARKER0123456789"
    key = token
    claude = "claude-sonnet-4-5@20250929"
    place = "/v1/projects/p-1/locations/europe-west4"
    paths = re.compile(place + r"/publishers/google/models/([^/:]+):([A-Za-z]+)(\?alt=sse)?")
    extra = frozenset({"anthropic-beta", "anthropic-version"})

    def __init__(self, name: str) -> None:
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        super().__init__(name)

    def account(self) -> str:
        """The credential file of its service account."""
        form = serialization.PrivateFormat.PKCS8
        pem = self.private.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
        return json.dumps({
            "type": "service_account", "project_id": "p-1", "private_key_id": "k-1", "private_key": pem,
            "client_email": "me@p-1.iam.gserviceaccount.com", "token_uri": f"{self.url}/token",
        })  # fmt: skip

    def credential(self, received: Received) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    def _check(self, received: Received, length: list[str], coding: list[str]) -> None:
        if received.target == "/token":
            try:
                self._claimed(received)
            except Exception as error:
                self.violations.append(f"{self.name}: a claim that is none: {error!r}")
            return
        super()._check(received, length, coding)

    def _claimed(self, received: Received) -> None:
        form = parse_qs(received.body.decode())
        assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        said, _, signature = form["assertion"][0].rpartition(".")
        self.private.public_key().verify(_decoded(signature), said.encode(), padding.PKCS1v15(), hashes.SHA256())
        claims = json.loads(_decoded(said.partition(".")[2]))
        assert claims["iss"] == "me@p-1.iam.gserviceaccount.com"
        assert claims["aud"] == f"{self.url}/token"
        assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
        assert claims["iat"] - 60 < time.time() < claims["exp"]

    def _behaviour(self, received: Received) -> Behaviour:
        if received.target == "/token":
            return said({"access_token": self.token, "token_type": "Bearer", "expires_in": 3600})
        return super()._behaviour(received)

    def _of_claude(self, received: Received) -> str:
        """The method, where Claude is asked; else empty."""
        prefix = f"{self.place}/publishers/anthropic/models/"
        if not received.target.startswith(prefix):
            return ""
        model, _, method = received.target.removeprefix(prefix).partition(":")
        assert model == self.claude or (model, method) == ("count-tokens", "rawPredict"), received.target
        return "count-tokens" if model == "count-tokens" else method

    def wrong(self, received: Received) -> Iterable[str]:
        method, body = self._of_claude(received), received.json()
        if not method:
            return super().wrong(received)
        if method == "count-tokens":
            return [] if body["model"] == self.claude else [f"model {body['model']}"]
        streams = method == "streamRawPredict"
        found = [] if streams == bool(body.get("stream")) else [f"{method} with stream {body.get('stream')}"]
        return [*found, *cloud_anthropic.of_vertex(body)]

    def answer(self, received: Received, scene: Scene) -> Behaviour:
        method = self._of_claude(received)
        if not method:
            return super().answer(received, scene)
        if method == "streamRawPredict":
            return streamed(cloud_anthropic.events(scene))
        return said(cloud_anthropic.whole(scene))

    def error(self, status: int, received: Received) -> Behaviour:
        if self._of_claude(received):
            return refused(status, cloud_anthropic.failure(status))
        return super().error(status, received)

    def other(self, received: Received) -> Behaviour | None:
        method = self._of_claude(received)
        if method:
            return said({"input_tokens": INPUT}) if method == "count-tokens" else None
        return super().other(received)


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


_MEMBERS: dict[str, Any] = {
    "systemInstruction": types.Content, "toolConfig": types.ToolConfig, "generationConfig": types.GenerationConfig,
}  # fmt: skip


def _wrong(body: dict[str, Any]) -> list[str]:
    known = {"contents", "tools", "safetySettings", "cachedContent", "labels", "model", *_MEMBERS}
    found = [f"a member called {name}" for name in body if name not in known]
    try:
        for name, type_ in _MEMBERS.items():
            type_.model_validate(body.get(name, {}))
        turns = [types.Content.model_validate(each) for each in body["contents"]]
        for each in body.get("tools", []):
            types.Tool.model_validate(each)
    except ValidationError as error:
        return [*found, f"{error.errors(include_url=False)[:3]} in {json.dumps(body)[:600]}"]
    called: list[str | None] = []
    for turn in turns:
        given = [part.function_response.name for part in turn.parts or [] if part.function_response]
        if sorted(map(str, given)) != sorted(map(str, called)):
            found.append(f"calls {called}, results {given}")
        called = [part.function_call.name for part in turn.parts or [] if part.function_call]
    parts = [part for turn in body["contents"] for part in turn["parts"]]
    signatures = {part["thoughtSignature"] for part in parts if "thoughtSignature" in part}
    return [*found, *(f"a signature that is not ours: {each}" for each in signatures - {SIGNATURE})]


def _parts(scene: Scene, cut: bool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if scene.thoughts:
        found += [{"text": each, "thought": True} for each in (scene.thoughts if cut else [scene.thought])]
    if scene.pieces:
        found += [{"text": each} for each in (scene.pieces if cut else [scene.text])]
    for index, each in enumerate(scene.calls):
        call: dict[str, Any] = {"functionCall": {"name": each.name, "args": each.value}}
        found.append(call if index else {**call, "thoughtSignature": SIGNATURE})
    return found


def _said(parts: list[dict[str, Any]], scene: Scene, last: bool) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    usage: dict[str, Any] = {"promptTokenCount": INPUT, "cachedContentTokenCount": CACHED, "totalTokenCount": INPUT}
    if last:
        candidate["finishReason"] = "STOP"
        usage |= {"candidatesTokenCount": OUTPUT - scene.reasoning, "totalTokenCount": INPUT + OUTPUT}
        usage |= {"thoughtsTokenCount": scene.reasoning} if scene.reasoning else {}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash", "responseId": "r-1"}


def whole(scene: Scene) -> dict[str, Any]:
    return _said(_parts(scene, cut=False), scene, last=True)


def events(scene: Scene) -> list[bytes]:
    parts = _parts(scene, cut=True)
    return [data(_said([part], scene, index == len(parts) - 1)) for index, part in enumerate(parts)]
