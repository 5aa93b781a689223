"""Policies that judge a request as a whole, and those in Python: what the provider gets, and what the client is told."""

from __future__ import annotations

import time
from typing import Any

import openai
import pytest

from tests.e2e.faults import metric, until
from tests.e2e.firewall import SLACK
from tests.e2e.harness import Case
from tests.e2e.upstream import OPENING, Gate, chunked, completion, event, events, respond

TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
OTHER = {"type": "function", "function": {"name": "drop_tables", "parameters": {"type": "object"}}}


def image(url: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]


def joined(stream: Any) -> str:
    return "".join(each.choices[0].delta.content or "" for each in stream if each.choices)


# refused


@pytest.mark.parametrize(
    ("policy", "more", "param"),
    [
        ("reject", {"max_tokens": 101}, "max_tokens"),
        ("reject", {"max_completion_tokens": 101}, "max_completion_tokens"),
        ("reject", {"n": 2}, "n"),
        ("models", {"model": "gpt-models-bad"}, "model"),
        ("operations", {}, None),
        ("tools", {"tools": [TOOL, OTHER]}, "tools"),
        ("vision", {"messages": [{"role": "user", "content": image("https://example.com/x.png")}]}, "messages"),
        (
            "vision",
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
            "messages",
        ),
        ("language", {"messages": [{"role": "user", "content": "Расскажи мне сказку"}]}, "messages"),
        ("user", {}, "user"),
        ("user", {"user": " MALLORY\u200b"}, "user"),
        ("outside", {}, None),
        ("hook", {"messages": [{"role": "user", "content": "no"}]}, None),
    ],
)
def test_it_is_refused(guarded: Case, policy: str, more: dict[str, Any], param: str | None) -> None:
    answer = guarded.post(**{"model": f"gpt-{policy}", **more})
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (400, "policy_violation", policy)
    assert error["param"] == param
    guarded.nothing_sent()
    line = guarded.log()
    assert (line["end"], line["outcome"], line["error"]) == ("blocked", "block", policy)
    with pytest.raises(openai.BadRequestError) as raised:
        guarded.sdk().chat.completions.create(**{**guarded.body(model=f"gpt-{policy}"), **more})
    assert (raised.value.code, raised.value.param) == (policy, param)


def test_a_hook_that_raises_is_like_a_service_that_fails(guarded: Case) -> None:
    answer = guarded.post("raise", model="gpt-hook")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "undecided")
    assert "house" not in answer.text
    guarded.nothing_sent()


# passed


@pytest.mark.parametrize(
    ("policy", "more"),
    [
        ("clamp", {"max_tokens": 100}),
        ("reject", {"max_tokens": 100, "n": 1}),
        ("models", {}),
        ("tools", {"tools": [TOOL]}),
        ("vision", {"messages": [{"role": "user", "content": image("data:image/png;base64,AAAA")}]}),
        ("language", {"messages": [{"role": "user", "content": "Tell me a very long сказка before I go to sleep"}]}),
        ("user", {"user": "alice"}),
        ("inside", {}),
        ("autoreply", {}),
        ("inspect", {}),
        ("hook", {}),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_it_passes_as_it_is(guarded: Case, policy: str, more: dict[str, Any], stream: bool) -> None:
    body = {**guarded.body(model=f"gpt-{policy}", stream=stream, max_tokens=7), **more}
    answer = guarded.post(**body)
    assert answer.status_code == 200, answer.text
    assert guarded.one().json() == body


@pytest.mark.parametrize("spoofed", ["203.0.113.9", "203.0.113.9, 10.0.0.1"])
def test_a_clients_address_is_the_one_envoy_sees(guarded: Case, spoofed: str) -> None:
    headers = {"x-forwarded-for": spoofed, "forwarded": f"for={spoofed}", "x-real-ip": spoofed}
    assert guarded.post(model="gpt-outside", headers=headers).status_code == 400
    guarded.nothing_sent()
    assert guarded.post(model="gpt-inside", headers=headers).status_code == 200


# changed


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({}, {"max_completion_tokens": 50}),
        ({"max_tokens": 5000}, {"max_tokens": 100}),
        ({"max_completion_tokens": 5000, "max_tokens": 5000}, {"max_completion_tokens": 100, "max_tokens": 100}),
    ],
)
def test_length_is_clamped(guarded: Case, asked: dict[str, int], sent: dict[str, int]) -> None:
    assert guarded.post(model="gpt-clamp", **asked).status_code == 200
    assert guarded.one().json() == guarded.body(model="gpt-clamp", **sent)
    assert guarded.one().header("content-length") == str(len(guarded.one().body))


def test_rewrite(guarded: Case) -> None:
    """Words of the operator's, parameters, and a model of another backend; redaction comes after it."""
    answer = guarded.post(
        "I am jane.doe@example.com", model="gpt-rewrite", temperature=2, logit_bias={"1": 1}, top_p=0.5, seed=3
    )
    assert answer.status_code == 200
    assert guarded.received("a") == []
    assert guarded.one("b").json() == {
        "model": "house",
        "messages": [
            {"role": "system", "content": "You answer for Acme."},
            {"role": "user", "content": "I am [email]"},
        ],
        "temperature": 0.25,
        "top_p": 0.5,
        "seed": 3,
    }
    assert guarded.one("b").target == "/other/v2/chat/completions"
    line = guarded.log()
    assert (line["model"], line["group"], line["backend"]) == ("gpt-rewrite", "house-model", "beta/house")


def test_python_changes_a_request(guarded: Case) -> None:
    assert guarded.post("patch", model="gpt-hook", top_p=0.1, temperature=1).status_code == 200
    sent = guarded.one().json()
    assert (sent["temperature"], "top_p" in sent) == (0.5, False)
    assert [each["content"] for each in sent["messages"]] == ["Be brief.", "patch"]


# answered


@pytest.mark.parametrize(
    ("model", "text", "reply"), [("gpt-autoreply", "Ping!", "pong it is"), ("gpt-hook", "answer", "The house answers.")]
)
def test_it_is_answered(guarded: Case, model: str, text: str, reply: str) -> None:
    answer = guarded.chat(text, model=model)
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason, answer.model) == (reply, "stop", model)
    assert joined(guarded.chat(text, model=model, stream=True)) == reply
    guarded.nothing_sent()
    line = guarded.log()
    assert (line["end"], line["outcome"], line["verdict"]) == ("replied", "reply", "reply")


# python


@pytest.mark.parametrize("stream", [False, True])
def test_python_inspects_requests(guarded: Case, stream: bool) -> None:
    answer = guarded.post("shazam", model="gpt-inspect", stream=stream)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "inspect")
    guarded.nothing_sent()
    assert guarded.log()["verdicts"] == [{"policy": "inspect", "label": "magic", "outcome": "block", "count": 1}]


def test_python_watches(guarded: Case) -> None:
    assert guarded.post("abra", model="gpt-inspect").status_code == 200
    assert guarded.log()["verdicts"] == [{"policy": "inspect", "label": "seen", "outcome": "audit", "count": 1}]


def test_python_inspects_answers(guarded: Case) -> None:
    guarded.on(respond(200, completion("MARKER shazam")), respond(200, completion("fine")))
    answer = guarded.post(model="gpt-inspect-answer")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "inspect-answer")
    assert b"MARKER" not in answer.content
    assert guarded.post(model="gpt-inspect-answer").content == completion("fine")


def test_python_inspects_streams_in_windows(guarded: Case) -> None:
    more, gate = Gate(), Gate()
    good = "These are words enough for a window of them, "
    bad = [event({"content": "MARKER shaz"}), event({"content": "am and words enough for another of them, "})]
    guarded.on(chunked(200, [OPENING, event({"content": good}), more, *bad, gate, event({}, "stop")]))
    got = ""
    with pytest.raises(openai.APIError) as raised:  # noqa: PT012
        for each in guarded.chat(model="gpt-inspect-answer", stream=True):
            got += each.choices[0].delta.content or ""
            more.open()
    assert (got, raised.value.code) == (good, "inspect-answer")
    assert guarded.one().ended.wait(10)
    gate.open()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["gpt-stuck", "gpt-stuck-answer"])
def test_python_that_hangs_fails_closed_in_time(guarded: Case, model: str, stream: bool) -> None:
    sent = events("MARKER") if stream else [completion("MARKER")]
    guarded.on(chunked(200, sent, [("content-type", "text/event-stream" if stream else "application/json")]))
    faults = metric(guarded.gateway, "extproc_faults_total")
    begun = time.monotonic()
    answer = guarded.post(model=model, stream=stream)
    assert time.monotonic() - begun < 0.7 + SLACK
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "undecided")
    assert b"MARKER" not in answer.content
    assert guarded.log()["end"] == "refused"
    until(lambda: metric(guarded.gateway, "extproc_faults_total") > faults, "the fault is counted")
