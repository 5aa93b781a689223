"""What clients ask the shop of: its own pages, and its models."""

from __future__ import annotations

import gzip
import json

from tests.e2e.shop import Answer, Proxy, chat, token

TALK = {"content-type": "application/json"}


def signed() -> dict[str, str]:
    return {"authorization": f"Bearer {token()}"}


ORDINARY = {
    "an open page": lambda proxy: proxy.ask("GET", "/shirts?size=m"),
    "its head": lambda proxy: proxy.ask("HEAD", "/shirts"),
    "an open page, compressed": lambda proxy: proxy.ask("GET", "/shirts", {"accept-encoding": "gzip"}),
    "an upload": lambda proxy: proxy.ask("POST", "/shirts", TALK, b"x" * 3_000_000),
    "a page from another origin": lambda proxy: proxy.ask("GET", "/shirts", {"origin": "https://shop.example.com"}),
    "an order, rewritten": lambda proxy: proxy.ask("POST", "/orders/1", signed(), b"two shirts"),
    "an order without a token": lambda proxy: proxy.ask("POST", "/orders/1", {}, b"two shirts"),
    "an order with a foreign token": lambda proxy: proxy.ask(
        "GET", "/orders/1", {"authorization": f"Bearer {token(aud='bank')}"}
    ),
    "a redirect": lambda proxy: proxy.ask("GET", "/old"),
    "Envoy's own page": lambda proxy: proxy.ask("GET", "/robots.txt"),
    "without TLS": lambda proxy: proxy.ask("GET", "/shirts", listener="plain"),
    "the assistant without a token": lambda proxy: proxy.ask("POST", "/llm/v1/chat/completions", TALK, chat("Hello")),
    "before the assistant is asked from another origin": lambda proxy: proxy.ask(
        "OPTIONS", "/llm/v1/chat/completions",
        {"origin": "https://shop.example.com", "access-control-request-method": "POST"},
    ),
}  # fmt: skip


GUARDED = [name for name in ORDINARY if "assistant" in name]
FRAMING = {"content-length", "transfer-encoding", "connection", "vary"}


def ask_assistant(proxy: Proxy, body: bytes, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return proxy.ask("POST", "/llm/v1/chat/completions", {**TALK, **signed(), **named}, body)


def ask_models(proxy: Proxy, body: bytes, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    own = {"authorization": "Bearer sk-of-the-client"}
    return proxy.ask("POST", "/v1/chat/completions", {**TALK, **own, **named}, body, host="models.example.com")


def said(answer: Answer) -> str:
    """The text of a whole answer or a stream."""
    assert answer.status == 200, answer
    if answer.header("content-type") == "application/json":
        body = gzip.decompress(answer.body) if answer.header("content-encoding") == "gzip" else answer.body
        return str(json.loads(body)["choices"][0]["message"]["content"])
    events = [each.removeprefix(b"data: ") for each in answer.body.split(b"\n\n") if each.startswith(b"data: {")]
    choices = [choice for each in events for choice in json.loads(each)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)
