"""Streams: the recorded ones, a way to run one through the guard, and a naive client that puts its texts together."""

import json
import re

from extproc.exchange.streamed import GuardedStream
from extproc.formats.openai_chat import OpenAIChat
from extproc.policy.api import Action, Mode, Phase, Policy, Scope, Tally
from extproc.policy.chain import Chain
from extproc.policy.pattern import parse
from extproc.policy.rules import RegexRule
from extproc.policy.words import WordRule
from extproc.usage import Meter
from tests.support import data


def recorded():
    """(name, bytes) of every stream in the external data."""
    found = {}
    for path in sorted(data("wire").glob("*/*.json")):
        for number, exchange in enumerate(json.loads(path.read_text("utf-8"))["exchanges"]):
            response = exchange["response"]
            headers = {name.lower(): value for name, value in response["headers"].items()}
            media = headers.get("content-type", "")
            media = media[0] if isinstance(media, list) else media
            if media.startswith("text/event-stream") and response["body_encoding"] == "utf8":
                found[f"{path.parent.name}/{path.stem}#{number}"] = response["body"].encode()
    for path in sorted(data("wire_raw").glob("*/*.chunks.txt")):
        lines = [line for line in path.read_text("utf-8").splitlines() if line.strip()]
        family = path.parent.name
        if family == "bedrock":
            continue
        named = family in ("anthropic", "openai_responses")
        events = [
            f"event: {json.loads(line)['type']}\ndata: {line}\n\n" if named else f"data: {line}\n\n" for line in lines
        ]
        found[f"{family}/{path.name}"] = "".join([*events, *([] if named else ["data: [DONE]\n\n"])]).encode()
    for path in sorted(data("wire_raw/gemini").glob("*streaming-success*.txt")):
        found[f"gemini/{path.name}"] = path.read_bytes()
    return found


def policy(name, *rules, action=Action.REDACT, scopes=frozenset(Scope), phases=frozenset(Phase), mode=Mode.ENFORCE):
    return Policy(name, action, mode, phases, scopes, rules)


def words(*entries, replacement="[w]"):
    return WordRule("w", entries, replacement)


def regex(pattern, replacement="[r]", accept=None):
    return RegexRule("r", parse(pattern), replacement, accept)


_chains: dict[tuple[int, ...], tuple[object, Chain]] = {}


def chain(policies):
    """The chain of these policies; made once, which takes longer than most streams."""
    key = tuple(map(id, policies))
    if key not in _chains:
        if len(_chains) > 64:
            _chains.clear()
        _chains[key] = policies, Chain(policies)  # the policies live as long as their ids mean them
    return _chains[key][1]


class Run:
    """One stream fed in pieces: ``out`` is what the client receives."""

    def __init__(self, policies, pieces, max_event=1 << 20, max_held=4 << 20):
        self.tally = Tally()
        self.meter = Meter(OpenAIChat())
        self.stream = GuardedStream(OpenAIChat(), chain(policies), self.tally, self.meter, max_event, max_held)
        self.parts = [self.stream.feed(piece) for piece in pieces]
        self.parts.append(self.stream.close())
        self.out = b"".join(self.parts)
        self.refused = self.stream.refused
        self.blocked = self.stream.blocked


def events(raw):
    """The JSON of every event; ``[DONE]`` and what is no JSON as text."""
    found = []
    for block in re.sub(rb"\r\n?", b"\n", raw).split(b"\n\n"):
        lines = [line[5:].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(b"data:")]
        if lines:
            text = b"\n".join(lines)
            try:
                found.append(json.loads(text))
            except ValueError:
                found.append(text.decode("utf-8", "replace"))
    return found


def texts(raw):
    """What a client shows: for each choice and field the deltas put together."""
    found = {}
    for event in events(raw):
        for choice in (event.get("choices") or []) if isinstance(event, dict) else []:
            _join(found, (choice["index"],), choice.get("delta", {}))
    return found


def _join(found, key, value):
    if isinstance(value, str) and key[-1] not in ("role", "type", "id", "format"):
        found[key] = found.get(key, "") + value
    elif isinstance(value, dict):
        for name, child in value.items():
            _join(found, (*key, name), child)
    elif isinstance(value, list):
        for position, child in enumerate(value):
            _join(found, (*key, child.get("index", position)), child)


def chunk(delta, index=0, finish=None, **more):
    """One event of a chat stream."""
    choice = {"index": index, "delta": delta, "finish_reason": finish, **more}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def sse(*values, end="\n"):
    """Events as bytes; text stands as it is."""
    return b"".join(
        (value if isinstance(value, str) else "data: " + json.dumps(value, ensure_ascii=False) + end * 2).encode()
        for value in values
    )


DONE = "data: [DONE]\n\n"
