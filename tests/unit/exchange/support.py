"""A small runtime and the events of one chat exchange."""

import functools
from pathlib import Path

import orjson
import yaml

from extproc import events
from extproc.config.load import load
from extproc.exchange.forward import UPSTREAM
from extproc.runtime import compile_runtime

CONFIG = """
providers:
  main:  {type: openai-compatible, base_url: "http://127.0.0.1:1/v1", keys: env:MAIN_KEY}
  other: {type: openai-compatible, base_url: "https://other.example/api/v1", keys: [env:OTHER_KEY, env:OTHER_KEY_2]}
models:
  "*":   main
  smart: [main, other/big]
policies:
  pii:   {kind: pii, find: [email]}
  words: {kind: wordlist, words: [forbidden phrase], action: block}
  magic: {kind: wordlist, words: [magic word], action: reply, reply: please, phase: request}
"""
ENVIRONMENT = {"MAIN_KEY": "sk-main", "OTHER_KEY": "sk-other", "OTHER_KEY_2": "sk-other-2"}


def compiled(text, folder, environment=ENVIRONMENT):
    """A runtime from YAML text."""
    path = Path(folder) / "extproc.yaml"
    path.write_text(text)
    return compile_runtime(load(path, environment))


@functools.cache
def runtime():
    """The runtime of CONFIG."""
    import tempfile

    yaml.safe_load(CONFIG)
    with tempfile.TemporaryDirectory() as folder:
        return compiled(CONFIG, folder)


def chat_headers(end=False, **changes):
    """Request headers of a chat completion."""
    found = {
        ":method": "POST",
        ":path": "/v1/chat/completions",
        ":authority": "gateway",
        ":scheme": "https",
        "content-type": "application/json",
        "x-forwarded-proto": "https",
        "x-request-id": "req-1",
        **changes,
    }
    return events.RequestHeaders(found, end)


def chat(content, **options):
    """A chat request body."""
    return orjson.dumps({"model": "gpt-x", **options, "messages": [{"role": "user", "content": content}]})


def answer_headers(content_type="application/json", status=200, details="via_upstream", encoding="", **more):
    """Response headers of a provider, or with other details of Envoy itself."""
    found = {":status": str(status), "content-type": content_type, **more}
    if encoding:
        found["content-encoding"] = encoding
    metadata = {UPSTREAM: {"backend": "main", "attempts": 1.0, "format": "openai-chat"}}
    return events.ResponseHeaders(found, False, {"response.code_details": details}, metadata)


def sse(delta, finish=None, index=0):
    """One event of a chat stream."""
    return b"data: " + orjson.dumps({"choices": [{"index": index, "delta": delta, "finish_reason": finish}]}) + b"\n\n"


def headers_of(effect):
    """The headers an effect sets, as a mapping."""
    return dict(effect.headers if isinstance(effect, events.Respond) else effect.mutation.set)
