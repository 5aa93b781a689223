"""Answers recorded of real providers, replayed to every SDK: each reads what the provider's own SDK reads of it directly."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from google.genai import errors

from tests.e2e.matrix import Matrix, public
from tests.e2e.sdk import CLIENTS, Said
from tests.e2e.upstream import chunked, respond
from tests.support import data

pytestmark = pytest.mark.data
SCENE = "recorded"


@dataclass(frozen=True)
class Kind:
    """Recordings of one API: where they are, who answered, whose SDK that is, and who else can be asked."""

    folder: str
    endings: tuple[str, ...]
    native: str
    backend: str
    clients: tuple[str, ...]


CROSSED = tuple(CLIENTS)
KINDS = {
    "chat": Kind("openai_chat", ("/chat/completions",), "openai chat", "compatible", CROSSED),
    "others' chat": Kind("other", ("/chat/completions",), "openai chat", "compatible", CROSSED),
    "responses": Kind("openai_responses", ("/responses",), "openai responses", "openai", ("openai responses",)),
    "messages": Kind("anthropic", ("/messages",), "anthropic messages", "anthropic", CROSSED),
    "gemini": Kind("gemini", (":generateContent", ":streamGenerateContent"), "google-genai", "gemini", CROSSED),
    "converse": Kind("bedrock", ("/converse", "/converse-stream"), "boto3 converse", "bedrock nova", CROSSED),
    "invoke": Kind(
        "bedrock", ("/invoke", "/invoke-with-response-stream"), "boto3 invoke", "bedrock claude", ("boto3 invoke",)
    ),
}


@dataclass(frozen=True)
class Recording:
    """One answer."""

    name: str
    media: str
    body: bytes

    @property
    def stream(self) -> bool:
        return "stream" in self.media


def recorded(kind: Kind) -> Iterator[Recording]:
    """Every answer of a kind that is whole and went well."""
    for path in sorted(data(f"wire/{kind.folder}").glob("*.json")):
        for number, each in enumerate(json.loads(path.read_text("utf-8"))["exchanges"]):
            said = each["response"]
            url = each["request"]["url"].partition("?")[0].partition("#")[0]
            headers = {name.lower(): value for name, value in dict(said["headers"]).items()}
            media = headers.get("content-type", "")
            media = media[0] if isinstance(media, list) else media
            if said["status"] != 200 or not url.endswith(kind.endings) or "/" not in media:
                continue
            encoded = said["body_encoding"] == "base64"
            body = base64.b64decode(said["body"]) if encoded else str(said["body"]).encode()
            yield Recording(f"{path.stem}#{number}", media, body)


_UNREAD = (
    AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError, openai.APIError, anthropic.APIError,
    errors.APIError, BotoCoreError, ClientError,
)  # fmt: skip


def read(client: Any, model: str, recording: Recording) -> Said | str:
    """What an SDK makes of an answer, or why it makes nothing of it."""
    try:
        found: Said = client.ask(model, SCENE, recording.stream)
    except _UNREAD as error:
        return repr(error)[:300]
    return found


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # of the SDKs, where they do not know a part
@pytest.mark.parametrize("kind", KINDS)
def test_recorded(matrix: Matrix, kind: str) -> None:
    what = KINDS[kind]
    cloud = matrix.clouds[{"bedrock nova": "bedrock", "bedrock claude": "bedrock"}.get(what.backend, what.backend)]
    base = f"{cloud.url}/house" if what.backend == "compatible" else cloud.url
    direct = CLIENTS[what.native](base)
    wrong, compared = [], 0
    for recording in recorded(what):
        headers = [("content-type", recording.media)]
        cut = [recording.body[at : at + 97] for at in range(0, len(recording.body), 97)]
        cloud.recorded[SCENE] = (
            chunked(200, cut, headers) if recording.stream else respond(200, recording.body, headers)
        )
        before = len(cloud.violations)
        wanted = read(direct, "m", recording)
        del cloud.violations[before:]  # it came with no key of the provider's
        if isinstance(wanted, str) or "@" in repr(wanted):
            continue  # nothing in it that our questions ask for, or something to redact
        for name in what.clients:
            compared += 1
            found = read(matrix.clients[name], public(name, what.backend), recording)
            wrong += [f"{recording.name} by {name}: {line}" for line in differences(wanted, found)]
    direct.sdk.close()
    del cloud.recorded[SCENE]
    assert compared >= len(what.clients)
    assert not wrong, f"{len(wrong)} of {compared}\n" + "\n".join(wrong)


def differences(wanted: Said, found: Said | str) -> list[str]:
    """What another SDK reads otherwise."""
    if isinstance(found, str):
        return [found]
    if not isinstance(wanted.text, str) or wanted.finish == "none":
        return []  # a server's own ways, which OpenAI's SDK does not know (a text in parts, no reason to finish): readable
    return [
        f"{name}: {getattr(found, name)!r} is not {getattr(wanted, name)!r}"
        for name in ("text", "calls", "finish", "input", "output")
        if getattr(found, name) != getattr(wanted, name)
    ]
