"""What the core costs: ProcessingRequests as Envoy sends them, from bytes to bytes, in this process alone.

No network and no event loop: the sum of ``Session.message`` and ``Session.end``, in CPU time, the least of many runs.

Usage: python -m tests.bench.core [--repeat N] [--only TEXT]
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from extproc._pb import ext_proc_pb2 as pb
from extproc.config.load import load
from extproc.exchange.planning import Wanted
from extproc.runtime import Runtime, compile_runtime
from extproc.service import Service
from extproc.telemetry import Log

CONFIG = """
providers: {{bench: {{type: openai-compatible, base_url: "http://127.0.0.1:1/v1", keys: env:KEY}}}}
policies: {policies}
attach: {attach}
"""
GUARDS = (
    "{pii: {kind: pii}, injection: {kind: wordlist, pack: prompt-injection, action: block, phase: both},"
    " profanity: {kind: wordlist, pack: profanity}, adult: {kind: wordlist, pack: adult}}"
)
NONE, ALL = ("{}", "[]"), (GUARDS, "[{use: [pii, injection, profanity, adult]}]")

ENGLISH = (
    "Please read the attached report and tell me which of its three findings matter most to a reader who has no time. "
    "The second chapter compares prices of the last 12 months; I do not trust the table on page 47, so check its sums. "
    "Write to the team in a friendly tone, keep it under 200 words, and do not repeat what everybody knows already. "
)
GERMAN = (
    "Könnten Sie mir bitte erklären, weshalb die Prüfung der Anträge so lange dauert? Außerdem wüsste ich gern, ob die "
    "Unterlagen für das zweite Halbjahr vollständig übermittelt wurden; über eine kurze Rückmeldung würde ich mich sehr "
    "freuen. Mit freundlichen Grüßen aus München, Jürgen Müller. "
)


def text(sample: str, size: int) -> str:
    """About ``size`` bytes of prose, no sentence of which is like another."""
    parts: list[str] = []
    left = size
    while left > 0:
        parts.append(f"{len(parts)}. {sample}")
        left -= len(parts[-1].encode())
    return "".join(parts)


# messages as Envoy sends them


def _headers(message: pb.HttpHeaders, pairs: dict[str, str], *, end: bool = False) -> None:
    for name, value in pairs.items():
        message.headers.headers.add(key=name, raw_value=value.encode())
    message.end_of_stream = end


REQUEST = {
    ":authority": "gateway.example.com",
    ":path": "/v1/chat/completions",
    ":method": "POST",
    ":scheme": "https",
    "accept": "application/json",
    "accept-encoding": "gzip, deflate, br, zstd",
    "authorization": "Bearer sk-a-key-of-the-gateway-or-whatever-the-client-was-given",
    "content-type": "application/json",
    "content-length": "1234",
    "user-agent": "OpenAI/Python 2.8.1",
    "x-stainless-arch": "x64",
    "x-stainless-async": "false",
    "x-stainless-lang": "python",
    "x-stainless-retry-count": "0",
    "x-forwarded-for": "192.0.2.17",
    "x-forwarded-proto": "https",
    "x-envoy-external-address": "192.0.2.17",
    "x-request-id": "6f1c1a0e-7f0b-4a44-9a3c-2d9f7c1b8e55",
}
ATTEMPT = {
    **{name: value for name, value in REQUEST.items() if not name.startswith(("x-stainless", "x-forwarded-for"))},
    "accept-encoding": "identity",
    "user-agent": "llm-extproc",
}
RESPONSE = {
    ":status": "200",
    "date": "Sat, 01 Nov 2025 12:00:00 GMT",
    "server": "cloudflare",
    "openai-organization": "acme",
    "openai-processing-ms": "512",
    "openai-version": "2020-10-01",
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-remaining-requests": "9999",
    "x-request-id": "req_0123456789abcdef",
    "strict-transport-security": "max-age=31536000",
    "cf-ray": "8d0c0ffee0000000-FRA",
    "alt-svc": 'h3=":443"; ma=86400',
    "x-envoy-upstream-service-time": "514",
}
BACKEND = "xds.upstream_host_metadata.filter_metadata['extproc']['backend']"


def request_headers() -> bytes:
    message = pb.ProcessingRequest()
    _headers(message.request_headers, REQUEST)
    return message.SerializeToString()


def attempt_headers(runtime: Runtime) -> bytes:
    message = pb.ProcessingRequest()
    _headers(message.request_headers, ATTEMPT)
    attributes = message.attributes["envoy.filters.http.ext_proc"]
    attributes.update({BACKEND: next(iter(runtime.backends)), "upstream.request_attempt_count": 1})
    wanted = Wanted("chat", "openai-chat", "gpt-5-mini", stream=False).told()
    decision = {
        "group": "any-00000000",
        "length": 1234,
        "media": "application/json",
        **wanted,
    }
    message.metadata_context.filter_metadata["llm.extproc.decision"].update(decision)
    return message.SerializeToString()


def response_headers(media: str) -> bytes:
    message = pb.ProcessingRequest()
    _headers(message.response_headers, {**RESPONSE, "content-type": media})
    message.attributes["envoy.filters.http.ext_proc"].update({"response.code_details": "via_upstream"})
    upstream = {"backend": "bench", "attempts": 1, "client_key": False}
    message.metadata_context.filter_metadata["llm.extproc.upstream"].update(upstream)
    return message.SerializeToString()


def body(kind: str, raw: bytes, *, end: bool = True) -> bytes:
    message = pb.ProcessingRequest()
    getattr(message, kind).body = raw
    getattr(message, kind).end_of_stream = end
    return message.SerializeToString()


def prompt(content: str, **options: Any) -> bytes:
    messages = [
        {"role": "system", "content": "You are a careful assistant. Answer briefly."},
        {"role": "user", "content": content},
    ]
    # clients escape what is not ASCII, or do not; these do not
    return orjson.dumps({"messages": messages, "model": "gpt-5-mini", "temperature": 0.2, **options})


def answer(content: str) -> bytes:
    message = {"role": "assistant", "content": content, "refusal": None, "annotations": []}
    return orjson.dumps({
        "id": "chatcmpl-CbQ0123456789abcdef", "object": "chat.completion", "created": 1762000000,
        "model": "gpt-5-mini-2025-08-07",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 260, "completion_tokens": 64, "total_tokens": 324,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "service_tier": "default", "system_fingerprint": None,
    })  # fmt: skip


def stream(count: int) -> list[bytes]:
    """The events of an answer of ``count`` tokens."""
    words = text(ENGLISH, 6 * count).split(" ")
    deltas: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant", "content": "", "refusal": None}, None)]
    deltas += [({"content": f" {word}"}, None) for word in words[:count]]
    deltas.append(({}, "stop"))
    head = {
        "id": "chatcmpl-CbQ0123456789abcdef",
        "object": "chat.completion.chunk",
        "created": 1762000000,
        "model": "gpt-5-mini-2025-08-07",
        "service_tier": "default",
        "system_fingerprint": "fp_44709d6fcb",
    }
    events = [
        orjson.dumps(
            {
                **head,
                "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
                "usage": None,
                "obfuscation": "a1B2c3D4",
            }
        )
        for delta, finish in deltas
    ]
    return [b"data: " + event + b"\n\n" for event in [*events, b"[DONE]"]]


# what is measured


def runtime(policies: tuple[str, str]) -> Runtime:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "extproc.yaml"
        path.write_text(CONFIG.format(policies=policies[0], attach=policies[1]))
        return compile_runtime(load(path, {"KEY": "sk-provider"}))


class Exchange:
    """The messages of one exchange, ready to be replayed."""

    def __init__(self, policies: tuple[str, str], request: bytes, media: str, answer: list[bytes]) -> None:
        self.runtime = runtime(policies)
        self.service = Service(lambda: self.runtime, Log("json", io.TextIOWrapper(io.FileIO(os.devnull, "w"))))
        self.before = [request_headers(), body("request_body", request)]
        self.attempt = attempt_headers(self.runtime)
        self.between = response_headers(media)
        self.after = [body("response_body", piece, end=False) for piece in answer[:-1]]
        self.after.append(body("response_body", answer[-1]))

    def whole(self) -> float:
        """Seconds for everything, both filters."""
        begun = time.process_time()
        router = self.service.open("router")
        for message in self.before:
            router.message(message)
        upstream = self.service.open("upstream")
        assert upstream.message(self.attempt).close
        upstream.end()
        router.message(self.between)
        for message in self.after:
            turn = router.message(message)
        router.end()
        taken = time.process_time() - begun
        assert turn.messages
        return taken

    def request(self) -> float:
        """Seconds for the request as the router filter sees it."""
        router = self.service.open("router")
        begun = time.process_time()
        for message in self.before:
            turn = router.message(message)
        taken = time.process_time() - begun
        assert turn.messages
        router.end()
        return taken

    def events(self) -> float:
        """Seconds for one message of the answer, on the average."""
        router = self.service.open("router")
        for message in [*self.before, self.between]:
            router.message(message)
        begun = time.process_time()
        for message in self.after:
            turn = router.message(message)
        taken = (time.process_time() - begun) / len(self.after)
        assert turn.messages
        router.end()
        return taken


def _request(raw: bytes) -> Callable[[], float]:
    return Exchange(ALL, raw, "application/json", [answer("yes")]).request


def cases() -> Iterator[tuple[str, int, Callable[[], Callable[[], float]]]]:
    """Name, repetitions out of a thousand, and how to make the function to measure."""
    json, sse = "application/json", "text/event-stream; charset=utf-8"
    said = answer(text(ENGLISH, 300))
    small = prompt(text(ENGLISH, 1000))
    yield "exchange, no policies", 1000, lambda: Exchange(NONE, small, json, [said]).whole
    yield "exchange, all packs", 1000, lambda: Exchange(ALL, small, json, [said]).whole
    yield "stream event, no policies", 50, lambda: Exchange(NONE, small, sse, stream(200)).events
    yield "stream event, all packs", 50, lambda: Exchange(ALL, small, sse, stream(200)).events
    eights = [b"".join(stream(200)[at : at + 8]) for at in range(0, 203, 8)]
    yield "8 events at once, no policies", 50, lambda: Exchange(NONE, small, sse, eights).events
    yield "8 events at once, all packs", 50, lambda: Exchange(ALL, small, sse, eights).events
    for name, content in {
        "64 KiB English": text(ENGLISH, 64 << 10),
        "1 MiB English": text(ENGLISH, 1 << 20),
        "1 MiB German": text(GERMAN, 1 << 20),
    }.items():
        often = 50 if name.startswith("64") else 5
        yield f"request, {name}, all packs", often, partial(_request, prompt(content))
    empty = prompt("short", metadata=[[]] * 1_000_000)
    yield "request, 3 MB of [[],[],…], all packs", 3, partial(_request, empty)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=1000, help="runs of the shortest case")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    options = parser.parse_args()
    for name, often, prepare in cases():
        if options.only in name:
            function = prepare()
            function()
            best = min(function() for _ in range(max(1, options.repeat * often // 1000)))
            print(f"{name:40} {best * 1e6:12.1f} µs", flush=True)


if __name__ == "__main__":
    main()
