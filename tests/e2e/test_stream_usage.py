"""A stream's usage is always asked for, and told only to clients that asked; nothing else of the stream changes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.foreign import CACHED, CHAT, CHAT_USED, INPUT, OUTPUT, PROVIDERS, sse
from tests.e2e.mixture import Mixed, understood
from tests.e2e.tongues import TONGUES

TEXTS = ("Hello ", "there, ", "you.")
EVENTS = CHAT.stream(*TEXTS)
RAW = b"".join(EVENTS)
HIDDEN = b"".join(each for each in EVENTS if each != CHAT_USED)
CUTS = {
    "whole": [RAW],
    "events": EVENTS,
    "bytes": [RAW[at : at + 1] for at in range(len(RAW))],
    "inside": [RAW[:-60], RAW[-60:-15], RAW[-15:]],
}
both_lanes = pytest.mark.parametrize("lane", ["mixed", "free_mixed"])


@pytest.fixture
def case(request: pytest.FixtureRequest, lane: str) -> Mixed:
    """With policies, or without any."""
    found = request.getfixturevalue(lane)
    assert isinstance(found, Mixed)
    return found


@both_lanes
@pytest.mark.parametrize("cut", CUTS)
def test_hidden_from_who_did_not_ask(case: Mixed, cut: str) -> None:
    case.on(CHAT.streams(CUTS[cut]), at="openai")
    answer = case.ask("only-openai", stream=True, usage=False)
    assert answer.content == HIDDEN
    assert case.one("openai").json()["stream_options"] == {"include_usage": True}
    tokens = case.log()["tokens"]
    assert (tokens["input"], tokens["output"], tokens["cached"]) == (INPUT, OUTPUT, CACHED)


@both_lanes
@pytest.mark.parametrize("cut", CUTS)
def test_shown_to_who_asked(case: Mixed, cut: str) -> None:
    case.on(CHAT.streams(CUTS[cut]), at="openai")
    answer = case.ask("only-openai", stream=True)
    assert answer.content == RAW
    assert case.one("openai").json() == {
        **TONGUES["chat"].body("gpt-4o", "Hello", stream=True), "stream_options": {"include_usage": True},
    }  # fmt: skip
    assert case.log()["tokens"]["output"] == OUTPUT


@both_lanes
@pytest.mark.parametrize("asked", [{"include_usage": False}, {"include_obfuscation": False}, None, {}])
def test_other_options_stay(case: Mixed, asked: Any) -> None:
    case.on(CHAT.streams(EVENTS), at="openai")
    answer = case.ask("only-openai", stream=True, usage=False, more={"stream_options": asked})
    assert answer.content == HIDDEN
    assert case.one("openai").json()["stream_options"] == {**(asked or {}), "include_usage": True}


@both_lanes
def test_a_list_of_choices_that_is_empty_for_another_reason(case: Mixed) -> None:
    """As Azure begins its streams: what it found in the prompt, before any choice."""
    first = sse({"choices": [], "id": "", "model": "", "object": "", "prompt_filter_results": [{"prompt_index": 0}]})
    case.on(CHAT.streams([first, *EVENTS]), at="azure")
    answer = case.ask("only-azure", stream=True, usage=False)
    assert answer.content == first + HIDDEN


@both_lanes
def test_usage_beside_the_last_text_stays(case: Mixed) -> None:
    """A provider that tells it in an event of its own makes: the event has more to say."""
    beside = EVENTS[-3].replace(b'"usage": null', b'"usage": {"prompt_tokens": 5, "completion_tokens": 6}')
    assert beside != EVENTS[-3]
    parts = [*EVENTS[:-3], beside, EVENTS[-1]]
    case.on(CHAT.streams(parts), at="openai")
    assert case.ask("only-openai", stream=True, usage=False).content == b"".join(parts)
    tokens = case.log()["tokens"]
    assert (tokens["input"], tokens["output"]) == (5, 6)


@both_lanes
def test_a_whole_answer_tells_it_always(case: Mixed) -> None:
    answer = case.ask("only-openai")
    assert answer.json()["usage"]["completion_tokens"] == OUTPUT
    assert "stream_options" not in case.one("openai").json()


@both_lanes
@pytest.mark.parametrize("kind", ["anthropic", "gemini", "bedrock"])
@pytest.mark.parametrize("usage", [False, True], ids=["unasked", "asked"])
def test_of_a_converted_stream(case: Mixed, kind: str, usage: bool) -> None:
    answer = case.ask(f"only-{kind}", stream=True, usage=usage)
    said = understood(answer, TONGUES["chat"], stream=True)
    assert (said.input, said.output) == ((INPUT, OUTPUT) if usage else (None, None))
    assert said.ended
    assert case.log()["tokens"]["output"] == OUTPUT


@both_lanes
@pytest.mark.parametrize("tongue", ["anthropic", "gemini", "bedrock"])
def test_asked_of_openai_for_clients_that_are_always_told(case: Mixed, tongue: str) -> None:
    said = understood(case.ask("only-openai", tongue, stream=True), TONGUES[tongue], stream=True)
    assert (said.input, said.output) == (INPUT, OUTPUT)
    assert case.one("openai").json()["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("usage", [False, True], ids=["unasked", "asked"])
def test_after_a_failover(mixed: Mixed, usage: bool) -> None:
    mixed.on(PROVIDERS["openai"].shape.fails(500), at="openai")
    mixed.on(CHAT.streams(EVENTS), at="azure")
    answer = mixed.ask("used", stream=True, usage=usage)
    assert answer.content == (RAW if usage else HIDDEN)
    for kind in ("openai", "azure"):
        assert mixed.one(kind).json()["stream_options"] == {"include_usage": True}
