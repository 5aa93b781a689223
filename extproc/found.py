"""What there is to work with on this machine: keys in the environment, model servers on their usual loopback ports.

Nothing outside loopback is asked. Sources: the list of models in OpenAI's API reference; Ollama's and vLLM's documentation
of their OpenAI-compatible servers (ports 11434 and 8000; vLLM's models are ``owned_by`` vllm).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from extproc.config.references import UNUSED
from extproc.providers.known import KNOWN

_WITHIN: Final = 1.0
"""Seconds a server has for its whole answer."""
_LARGEST: Final = 1 << 20
_MOST_MODELS: Final = 20
_MODEL: Final = re.compile(r"[\w./:@+-]{1,200}", re.ASCII)
_RESOURCE: Final = re.compile(r"https://([a-z0-9][a-z0-9-]{0,62})\.openai\.azure\.com/?", re.ASCII)
_REGION: Final = re.compile(r"[a-z0-9-]{1,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Found:
    """One provider: its type, what else its configuration needs, and the models of a server that named them."""

    type: str
    settings: Mapping[str, str]
    models: tuple[str, ...] = ()


def by_keys(environment: Mapping[str, str]) -> list[Found]:
    """The providers that variables of the environment are enough for. Keys themselves are only looked at for being there."""
    found = []
    for name, known in KNOWN.items():
        if not known.variable or environment.get(known.variable, "") in ("", UNUSED):
            continue
        place = _place(name, environment)
        if known.whole or place:
            found.append(Found(name, place))
    return found


def _place(name: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What a key alone does not say: the resource at Azure, the region of Bedrock."""
    if name == "azure":
        match = _RESOURCE.fullmatch(environment.get("AZURE_OPENAI_ENDPOINT", ""))
        return {"resource": match[1]} if match else {}
    if name == "bedrock":
        region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or ""
        return {"region": region} if _REGION.fullmatch(region) else {}
    return {}


def servers(urls: Mapping[str, str] | None = None) -> list[Found]:
    """The model servers that answer on loopback, within a second or so.

    Args:
        urls: base URLs by type; by default the usual ones of Ollama and vLLM.
    """
    wanted = {name: KNOWN[name].base_url for name in ("ollama", "vllm")} if urls is None else dict(urls)
    return asyncio.run(_servers(wanted))


async def _servers(urls: Mapping[str, str]) -> list[Found]:
    answers = await asyncio.gather(*(_models(name, url) for name, url in urls.items()))
    usual = {name: KNOWN[name].base_url for name in urls}
    return [
        Found(name, {} if urls[name] == usual[name] else {"base_url": urls[name]}, models)
        for name, models in zip(urls, answers, strict=True)
        if models is not None
    ]


async def _models(name: str, url: str) -> tuple[str, ...] | None:
    """The names of a server's models; None if there is none of this kind."""
    try:
        async with asyncio.timeout(_WITHIN):
            listed = orjson.loads(await _get(f"{url}/models"))
    except (OSError, TimeoutError, ValueError, EOFError):
        return None
    if not isinstance(listed, dict) or listed.get("object") != "list":
        return None
    rows = listed.get("data") or []  # Ollama without a model says null
    if not isinstance(rows, list) or (name == "vllm" and not any(_owner(row) == "vllm" for row in rows)):
        return None
    names = (row.get("id") for row in rows if isinstance(row, dict))
    return tuple(each for each in names if isinstance(each, str) and _MODEL.fullmatch(each))[:_MOST_MODELS]


def _owner(row: Any) -> Any:
    return row.get("owned_by") if isinstance(row, dict) else None


async def _get(url: str) -> bytes:
    """The body of an answer, of a server that is asked not to send it in chunks.

    Raises:
        OSError: nobody answers, or not with a 200.
    """
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        writer.write(f"GET {place.path} HTTP/1.0\r\nHost: {place.netloc}\r\nAccept: application/json\r\n\r\n".encode())
        answer = b""
        while len(answer) < _LARGEST and (piece := await reader.read(65536)):
            answer += piece
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    if head.split(b" ")[1:2] != [b"200"]:
        raise OSError("not a list of models")
    return body
