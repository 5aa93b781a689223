"""What conversion costs: a streamed event from every chat format to every other, and whole exchanges against unconverted ones.

Everything in this process alone, in CPU time, the least of many runs. The answers are written by the formats' own encoders.

Usage: python -m tests.bench.conversion [--repeat N]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from extproc import events
from extproc.chat.answer import Finish, Finished, PartDelta, PartEnd, PartStart, Start, StreamEvent, Usage, Used
from extproc.chat.codec import Context
from extproc.chat.fold import fold
from extproc.chat.losses import Losses
from extproc.chat.parts import Text
from extproc.config.load import load
from extproc.exchange.converting import Conversion, Way
from extproc.exchange.router import RouterExchange
from extproc.formats.registry import FORMATS
from extproc.runtime import Runtime, compile_runtime
from extproc.usage import Meter

CHAT = ("openai-chat", "openai-responses", "anthropic-messages", "gemini", "bedrock-converse")
WORDS = 200
CONTEXT = Context("req-1", "model", 1700000000, usage=True)
CONFIG = """
providers:
  same:  {type: openai-compatible, base_url: "http://127.0.0.1:1/v1", keys: none}
  other: {type: anthropic, base_url: "http://127.0.0.1:1", keys: [env:KEY]}
models: {same: same/m, other: other/claude-x}
policies: {policies}
"""


def said() -> list[StreamEvent]:
    """A stream of words."""
    deltas: list[StreamEvent] = [PartDelta(0, 0, f"word{number} ") for number in range(WORDS)]
    end: list[StreamEvent] = [PartEnd(0, 0), Finished(0, Finish.STOP), Used(Usage(10, WORDS))]
    return [Start("id-1", "model", 1700000000), PartStart(0, 0, Text("")), *deltas, *end]


def streamed(name: str) -> list[bytes]:
    """The stream as a provider of this format sends it."""
    codec = FORMATS[name].codec
    assert codec
    encoder = codec.encoder(CONTEXT, Losses())
    return [*(encoder.encode(event) for event in said()), encoder.close()]


def whole(name: str) -> bytes:
    """The same as a whole answer."""
    codec = FORMATS[name].codec
    answer = fold(said())
    assert codec
    assert not hasattr(answer, "kind")
    return orjson.dumps(codec.encode_answer(answer, CONTEXT, Losses()))


def converted(source: str, target: str, chunks: list[bytes]) -> Callable[[], float]:
    """One stream through the conversion, in seconds of CPU."""

    def run() -> float:
        way = Way(FORMATS[source], FORMATS[target], 200, streamed=True, wanted=True)
        conversion = Conversion(way, CONTEXT, Losses(), Meter(FORMATS[target]), max_event=1 << 20, max_body=1 << 25)
        began = time.process_time()
        for chunk in chunks:
            conversion.feed(chunk)
        conversion.close()
        return time.process_time() - began

    return run


def exchange(runtime: Runtime, model: str, chunks: list[bytes], *, stream: bool) -> Callable[[], float]:
    """One exchange, from the request's headers to its record."""
    headers = {
        ":method": "POST",
        ":path": "/v1/chat/completions",
        ":authority": "gateway",
        "content-type": "application/json",
    }
    body = orjson.dumps(
        {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Say words. " * 90}]}
    )
    media = "text/event-stream" if stream else "application/json"

    def run() -> float:
        began = time.process_time()
        one = RouterExchange(runtime)
        one.receive(events.RequestHeaders(headers, False))
        one.receive(events.RequestBody(body, True))
        details = {"response.code_details": "via_upstream"}
        one.receive(events.ResponseHeaders({":status": "200", "content-type": media}, False, details))
        for chunk in chunks[:-1]:
            one.receive(events.ResponseBody(chunk, False))
        one.receive(events.ResponseBody(chunks[-1], True))
        one.finish()
        return time.process_time() - began

    return run


def compiled(policies: str) -> Runtime:
    """A runtime with these policies."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "extproc.yaml"
        path.write_text(CONFIG.replace("{policies}", policies), "utf-8")
        return compile_runtime(load(path, {"KEY": "sk-x"}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=20)
    repeat = parser.parse_args().repeat
    print("a streamed event, in microseconds: from (row) to (column)")
    print(f"{'':20}" + "".join(f"{name:>20}" for name in CHAT))
    for source in CHAT:
        chunks = streamed(source)
        runs = [min(converted(source, target, chunks)() for _ in range(repeat)) for target in CHAT]
        print(f"{source:20}" + "".join(f"{run / WORDS * 1e6:20.1f}" for run in runs))
    print(
        "\nan exchange of OpenAI chat, in microseconds: with a provider of its own format, with Anthropic, and the ratio"
    )
    for policies in ("{}", "{pii: {kind: pii, find: [email]}}"):
        runtime = compiled(policies)
        for stream in (False, True):
            found = []
            for model, name in (("same", "openai-chat"), ("other", "anthropic-messages")):
                chunks = streamed(name) if stream else [whole(name)]
                run = exchange(runtime, model, chunks, stream=stream)
                found.append(min(run() for _ in range(repeat)) * 1e6)
            what = f"{'streamed' if stream else 'whole':9}{'pii' if 'pii' in policies else 'no policies':12}"
            print(f"{what}{found[0]:10.0f}{found[1]:10.0f}{found[1] / found[0]:8.2f}")


if __name__ == "__main__":
    main()
