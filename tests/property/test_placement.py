"""Every string of every recorded request, answer and event is seen: a marker put there is redacted, blocked or refused.

What may hold a short token unseen is listed below, by name and with the reason; an address or a sentence never may.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from extproc import events
from extproc.exchange.router import RouterExchange
from extproc.formats.openai_chat import texts
from extproc.runtime import Runtime
from tests.property.streams import recorded
from tests.support import data
from tests.unit.exchange.support import answer_headers, chat, chat_headers, compiled

pytestmark = pytest.mark.data

MARKER = "mark.person@example.com"
WORD = "xyzzyva"
CONFIG = f"""
providers: {{main: {{type: openai-compatible, base_url: "http://127.0.0.1:1/v1", keys: env:MAIN_KEY}}}}
models: {{"*": main}}
policies:
  emails: {{kind: pii, find: [email], action: redact}}
  word:   {{kind: wordlist, words: [{WORD}], action: block}}
"""
STRUCTURE = {
    "names that an API gives to things, and takes back": {
        "id", "object", "model", "system_fingerprint", "tool_call_id", "provider", "service_tier", "native_finish_reason",
    },
    "one of a few words that an API knows; others it refuses": {
        "role", "type", "finish_reason", "detail", "format", "reasoning_effort", "verbosity", "effort", "tool_choice",
        "function_call", "modalities", "mime_type", "refusal_reason", "prompt_cache_retention",
    },
    "random letters that hide a length": {"obfuscation"},
}  # fmt: skip
"""Where one short token is not looked at."""
TOKENS = frozenset().union(*STRUCTURE.values())

Place = tuple[str | int, ...]


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    return compiled(CONFIG, tmp_path_factory.mktemp("placement"))


def test_the_list_of_structure_is_the_codes() -> None:
    assert TOKENS == texts._SKIP


def exchanges() -> list[tuple[str, dict[str, Any]]]:
    found = []
    for path in sorted(data("wire/openai_chat").glob("*.json")):
        for number, each in enumerate(json.loads(path.read_text("utf-8"))["exchanges"]):
            found.append((f"{path.stem}#{number}", each))
    return found


def strings(value: Any, at: Place = ()) -> Iterator[Place]:
    """Where strings are."""
    if isinstance(value, str):
        yield at
    elif isinstance(value, dict | list):
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from strings(child, (*at, key))


def objects(value: Any, at: Place = ()) -> Iterator[Place]:
    """Where objects are."""
    if isinstance(value, dict):
        yield at
    if isinstance(value, dict | list):
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from objects(child, (*at, key))


def inside(value: Any, at: Place) -> Any:
    for key in at:
        value = value[key]
    return value


def variants(value: Any, word: str = WORD) -> Iterator[tuple[Place, str, Any]]:
    """A value with a mark in one place: in the place of a string, behind it, in front of it, as a member's name."""
    for at in strings(value):
        old = inside(value, at)
        for new in (MARKER, f"{old} {MARKER}", f"{MARKER} {old}", word, f"{old} {word}"):
            changed = copy.deepcopy(value)
            inside(changed, at[:-1])[at[-1]] = new
            yield at, new, changed
    for at in objects(value):
        for new in (MARKER, f"a {WORD}"):
            changed = copy.deepcopy(value)
            inside(changed, at)[new] = 1
            yield (*at, new), new, changed


def unseen(at: Place, new: str) -> bool:
    """Whether nobody has to look at this place for this."""
    name = next((key for key in reversed(at) if isinstance(key, str)), "")
    return new == WORD and name in TOKENS


def encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def requested(runtime: Runtime, body: bytes) -> tuple[RouterExchange, list[events.Effect]]:
    one = RouterExchange(runtime)
    one.receive(chat_headers())
    return one, one.receive(events.RequestBody(body, True))


def shown(effects: list[events.Effect], body: bytes = b"") -> bytes:
    """What leaves."""
    found = b""
    for each in effects:
        if isinstance(each, events.ContinueBody):
            found += body if each.body is None else each.body
        elif isinstance(each, events.Send | events.Respond):
            found += each.body
    return found


def refused(effects: list[events.Effect]) -> bool:
    return any(isinstance(each, events.Respond) and each.status >= 400 for each in effects)


def test_every_string_of_every_request(runtime: Runtime) -> None:
    count = 0
    for name, each in exchanges():
        value = json.loads(each["request"]["body"])
        _, effects = requested(runtime, encoded(value))
        assert shown(effects, encoded(value)), name
        assert not refused(effects), name
        for at, new, changed in variants(value):
            _, effects = requested(runtime, encoded(changed))
            left = shown(effects, encoded(changed)).decode()
            count += 1
            assert MARKER not in left, (name, at)
            assert unseen(at, new) or WORD not in new or refused(effects), (name, at)
    assert count > 1000
    print(f"\n{count} placements in requests")


def answered(runtime: Runtime, status: int, media: str, body: bytes) -> list[events.Effect]:
    stream = media == "text/event-stream"
    one, _ = requested(runtime, chat("hello", stream=stream))
    effects = one.receive(answer_headers(media, status))
    return effects + one.receive(events.ResponseBody(body, True))


def test_every_string_of_every_whole_answer(runtime: Runtime) -> None:
    count = 0
    for name, each in exchanges():
        response = each["response"]
        if not response["body"].lstrip().startswith("{"):
            continue
        value = json.loads(response["body"])
        for at, new, changed in variants(value):
            effects = answered(runtime, response["status"], "application/json", encoded(changed))
            count += 1
            assert MARKER not in shown(effects).decode(), (name, at)
            assert unseen(at, new) or WORD not in new or WORD not in shown(effects).decode(), (name, at)
    assert count > 1000
    print(f"\n{count} placements in whole answers")


def streams() -> dict[str, list[bytes]]:
    """The events of each recorded stream, without what ends them."""
    found = {name: raw for name, raw in recorded().items() if name.startswith("openai_chat")}
    assert len(found) >= 3
    return {name: re.findall(rb".+?(?=\r?\n\r?\n)", raw, re.DOTALL) for name, raw in found.items()}


def joined(parts: list[bytes]) -> bytes:
    return b"".join(part.strip() + b"\n\n" for part in parts)


def test_every_string_of_every_event(runtime: Runtime) -> None:
    count = 0
    for name, parts in streams().items():
        for number, part in enumerate(parts):
            line = part.strip().removeprefix(b"data: ")
            if line[:1] != b"{":
                continue
            for at, new, changed in variants(json.loads(line), f" {WORD} "):  # what comes next may go on with it
                whole = joined(
                    [*parts[max(0, number - 2) : number], b"data: " + encoded(changed), *parts[number + 1 : number + 3]]
                )
                left = shown(answered(runtime, 200, "text/event-stream", whole)).decode()
                count += 1
                assert MARKER not in left, (name, number, at)
                assert WORD not in left, (name, number, at, new)
    assert count > 1000
    print(f"\n{count} placements in events")


@pytest.mark.parametrize(
    "line", ["event: {}", "id: {}", ": {}", "retry: {}", "{}", "other: {}", "event:{}", "data: {}"]
)
def test_every_line_of_an_event(runtime: Runtime, line: str) -> None:
    for name, parts in streams().items():
        for number, part in enumerate(parts):
            for mark in (MARKER, WORD):
                whole = joined(
                    [*parts[:number], line.format(mark).encode() + b"\n" + part.strip(), *parts[number + 1 :]]
                )
                left = shown(answered(runtime, 200, "text/event-stream", whole)).decode()
                assert mark not in left, (name, number)
