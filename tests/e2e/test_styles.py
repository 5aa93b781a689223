"""How a block looks: an error, a refusal, or an answer that ends early; of requests, answers and streams."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.e2e.harness import Case
from tests.e2e.upstream import DONE, OPENING, Gate, chunked, completion, event, events, respond

GOOD = "All is well, "
SAID = "The answer was stopped by the policy '{}'."


def middle(case: Case, *after: bytes) -> Gate:
    """A stream that says something good before the forbidden word, and never ends."""
    gate = Gate()
    parts = [OPENING, event({"content": GOOD}), event({"content": "but then xy"}), event({"content": "zzy MARKER"})]
    case.on(chunked(200, [*parts, *after, gate, DONE]))
    return gate


def collected(stream: Any) -> tuple[dict[int, str], dict[int, str]]:
    """By choice, its text and how it ended; a choice says nothing after its end."""
    texts: dict[int, str] = {}
    ends: dict[int, str] = {}
    for chunk in stream:
        for choice in chunk.choices:
            assert choice.index not in ends, "it goes on after its end"
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
            if choice.finish_reason:
                ends[choice.index] = choice.finish_reason
    return texts, ends


def raised(case: Case, model: str, text: str = "Hello", **more: Any) -> openai.APIError:
    with pytest.raises(openai.APIError) as found:
        for _ in case.chat(text, model=model, **more):
            pass
    return found.value


# error


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_has_its_status(guarded: Case, stream: bool) -> None:
    error = raised(guarded, "gpt-style-error", "xyzzy", stream=stream)
    assert isinstance(error, openai.APIStatusError)
    assert (error.status_code, error.code, error.type) == (451, "style-error", "policy_violation")
    guarded.nothing_sent()
    sent = events("xy", "zzy") if stream else [completion("xyzzy")]
    guarded.on(chunked(200, sent, [("content-type", "text/event-stream" if stream else "application/json")]))
    answer = guarded.post(model="gpt-style-error", stream=stream)
    assert (answer.status_code, answer.json()["error"]["code"]) == (451, "style-error")
    assert "x-should-retry" in answer.headers


def test_an_error_in_the_middle_is_an_event(guarded: Case) -> None:
    gate = middle(guarded)
    error = raised(guarded, "gpt-style-error", stream=True)
    assert (error.code, error.message) == ("style-error", SAID.format("style-error"))
    assert guarded.one().ended.wait(10)
    gate.open()


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_says_its_message(guarded: Case, stream: bool) -> None:
    answer = guarded.post("xyzzy", model="gpt-style-message", stream=stream)
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "Not in this house.")


# refusal


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("gpt-style-refusal", "The request was refused by the policy 'style-refusal'."),
        ("gpt-style-refusal-message", "Not in this house."),
    ],
)
def test_a_refused_request_is_a_normal_answer(guarded: Case, model: str, text: str) -> None:
    answer = guarded.chat("xyzzy", model=model)
    (choice,) = answer.choices
    assert (choice.finish_reason, choice.message.role, choice.message.content) == ("content_filter", "assistant", text)
    assert (answer.object, answer.model, answer.usage.total_tokens) == ("chat.completion", model, 0)
    assert collected(guarded.chat("xyzzy", model=model, stream=True)) == ({0: text}, {0: "content_filter"})
    guarded.nothing_sent()
    line = guarded.log()
    assert (line["end"], line["status"], line["outcome"]) == ("blocked", 200, "block")


def test_a_refused_answer_is_a_normal_answer(guarded: Case) -> None:
    guarded.on(respond(200, completion("MARKER xyzzy")))
    (choice,) = guarded.chat(model="gpt-style-refusal").choices
    assert choice.finish_reason == "content_filter"
    assert choice.message.content == "The answer was withheld by the policy 'style-refusal'."


def test_a_refused_stream_before_its_first_byte(guarded: Case) -> None:
    guarded.on(chunked(200, events("xy", "zzy MARKER")))
    answer = guarded.chat(model="gpt-style-refusal", stream=True)
    assert answer.response.headers["content-type"].startswith("text/event-stream")
    text = "The answer was withheld by the policy 'style-refusal'."
    assert collected(answer) == ({0: text}, {0: "content_filter"})


def test_a_refused_stream_in_its_middle(guarded: Case) -> None:
    gate = middle(guarded)
    texts, ends = collected(guarded.chat(model="gpt-style-refusal", stream=True))
    assert texts == {0: f"{GOOD}but then {SAID.format('style-refusal')}"}
    assert ends == {0: "content_filter"}
    assert guarded.one().ended.wait(10)
    gate.open()


# truncate


def test_a_truncated_stream_ends_before_the_match(guarded: Case) -> None:
    gate = middle(guarded)
    texts, ends = collected(guarded.chat(model="gpt-style-truncate", stream=True))
    assert (texts, ends) == ({0: f"{GOOD}but then "}, {0: "content_filter"})
    assert guarded.one().ended.wait(10)
    gate.open()
    assert guarded.log()["end"] == "blocked"


def test_a_truncated_stream_before_its_first_byte(guarded: Case) -> None:
    guarded.on(chunked(200, events("xy", "zzy MARKER")))
    assert collected(guarded.chat(model="gpt-style-truncate", stream=True)) == ({0: ""}, {0: "content_filter"})


def test_a_truncated_request_is_refused(guarded: Case) -> None:
    answer = guarded.post("xyzzy", model="gpt-style-truncate")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "style-truncate")
    guarded.nothing_sent()


# several choices


@pytest.mark.parametrize("style", ["refusal", "truncate"])
def test_every_choice_has_an_end(guarded: Case, style: str) -> None:
    """One choice is finished, one is blocked, one is only beginning."""
    parts = [
        event({"role": "assistant", "content": "One is done, "}, index=0),
        event({"content": "Two goes on, "}, index=1),
        event({}, "stop", index=0),
        event({"content": "Three begins, "}, index=2),
        event({"content": "and says xyzzy MARKER"}, index=1),
    ]
    gate = Gate()
    guarded.on(chunked(200, [*parts, gate, DONE]))
    texts, ends = collected(guarded.chat(model=f"gpt-style-{style}", stream=True, n=3))
    said = SAID.format("style-refusal") if style == "refusal" else ""
    assert texts == {0: "One is done, ", 1: f"Two goes on, and says {said}", 2: f"Three begins, {said}"}
    assert ends == {0: "stop", 1: "content_filter", 2: "content_filter"}
    gate.open()


@pytest.mark.parametrize(
    ("finish", "ends"),
    [(None, {0: "content_filter", 1: "content_filter"}), ("stop", {0: "stop", 1: "content_filter"})],
)
def test_events_of_several_choices(guarded: Case, finish: str | None, ends: dict[int, str]) -> None:
    """Some servers send the choices of a step together."""

    def step(*choices: tuple[int, str, str | None]) -> bytes:
        said = [{"index": index, "delta": {"content": text}, "finish_reason": end} for index, text, end in choices]
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
        return b"data: " + json.dumps({**head, "choices": said}).encode() + b"\n\n"

    last = [(1, "xyzzy MARKER", None)] if finish else [(0, "", None), (1, "xyzzy MARKER", None)]
    guarded.on(chunked(200, [step((0, "One, ", finish), (1, "Two, ", None)), step(*last), DONE]))
    found = collected(guarded.chat(model="gpt-style-truncate", stream=True, n=2))
    assert found == ({0: "One, ", 1: "Two, "}, ends)


def test_the_end_of_a_choice_that_is_blocked_with_it(guarded: Case) -> None:
    """The event that would have ended the choice never leaves; the choice gets an end all the same."""
    parts = [event({"content": "One, "}, index=0), event({"content": "Two, "}, index=1)]
    guarded.on(chunked(200, [*parts, event({"content": "xyzzy"}, "stop", index=1), DONE]))
    found = collected(guarded.chat(model="gpt-style-truncate", stream=True, n=2))
    assert found == ({0: "One, ", 1: "Two, "}, {0: "content_filter", 1: "content_filter"})
