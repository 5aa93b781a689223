"""Which policies a request gets: by model, by header, by what its headers ask for; and who is told what came of it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.e2e.harness import Case
from tests.e2e.upstream import OPENING, USAGE, chunked, completion, event, events, respond

SECRET = "jane.doe@example.com"
IMAGE = [
    {"type": "text", "text": "What is it?"},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
]


def asked(case: Case, text: str = "Hello", model: str = "gpt-4o", **headers: str) -> Any:
    return case.post(text, model=model, headers={name.replace("_", "-"): value for name, value in headers.items()})


def refused(answer: Any, code: str, status: int = 400) -> None:
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


# lines of the configuration


def test_by_model(guarded: Case) -> None:
    refused(asked(guarded, "xyzzy", "gpt-style-error"), "style-error", 451)
    guarded.nothing_sent()
    answer = asked(guarded, "xyzzy")
    assert (answer.status_code, answer.headers["x-llm-policies"]) == (200, "emails")


@pytest.mark.parametrize(
    ("team", "applies"), [("red", True), ("blue-7", True), ("green", False), ("RED", False), ("", False)]
)
def test_by_header(guarded: Case, team: str, applies: bool) -> None:
    answer = asked(guarded, "frobozz", x_team=team)
    assert answer.status_code == (400 if applies else 200)
    assert answer.headers["x-llm-policies"] == ("emails,extra" if applies else "emails")


def unsigned(**claims: Any) -> str:
    head, payload = ({"alg": "none", "typ": "JWT"}, claims)
    parts = [base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in (head, payload)]
    return ".".join([*parts, ""])


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": f"Bearer {unsigned(team='trusted')}"},
        {"x-jwt-payload": unsigned(team="trusted").split(".")[1]},
        {"x-envoy-jwt": "trusted", "team": "trusted", "x-team": "trusted"},
        {"x-llm-policy-style-error": "off"},
        {"x-llm-policy-style-error": "audit", "authorization": f"Bearer {unsigned(team='trusted')}"},
    ],
)
def test_an_exception_for_verified_claims_cannot_be_claimed(guarded: Case, headers: dict[str, str]) -> None:
    answer = guarded.post("xyzzy", model="gpt-trusted", headers=headers)
    assert answer.status_code in (400, 451)
    guarded.nothing_sent()


# what headers ask for


def test_a_header_adds_policies(guarded: Case) -> None:
    refused(asked(guarded, "frobozz", x_llm_policy="Extra, marks"), "extra")
    answer = asked(guarded, f"a quux for {SECRET}", x_llm_policy="marks")
    assert (answer.status_code, answer.headers["x-llm-policies"]) == (200, "emails,marks")
    (received,) = guarded.received()
    assert received.json()["messages"][0]["content"] == "a [marks] for [email]"


def test_a_header_adds_a_set(guarded: Case) -> None:
    answer = asked(guarded, x_llm_policy="pair")
    assert answer.headers["x-llm-policies"] == "emails,extra,marks"


def test_a_header_tightens_one(guarded: Case) -> None:
    refused(asked(guarded, f"I am {SECRET}", x_llm_policy_emails="block"), "emails")
    refused(asked(guarded, "a grue", x_llm_policy_custom="block"), "custom")
    guarded.nothing_sent()
    assert asked(guarded, "a grue", x_llm_policy_custom="audit").headers["x-llm-verdict"] == "audit"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-llm-policy-emails", "off"), ("x-llm-policy-emails", "audit"), ("x-llm-policy-emails", "redact, off"),
        ("x-llm-policy-emails", ""), ("x-llm-policy-nobody", "block"), ("x-llm-policy", "nobody"), ("x-llm-policy", ""),
        ("x-llm-policy-rewrite", "audit"), ("x-llm-policy-extra", "off"),
    ],
)  # fmt: skip
def test_a_header_cannot_loosen_or_be_misunderstood(guarded: Case, name: str, value: str) -> None:
    refused(guarded.post(f"I am {SECRET}", headers={name: value, "x-team": "red"}), "policy_override")
    guarded.nothing_sent()


# the names of Usage Panda


@pytest.mark.parametrize(
    ("name", "value", "text", "code"),
    [
        ("request-wordlists", "custom:block", "a grue", "custom"),
        ("request-wordlists", "dan:audit, custom:block", "a grue", "custom"),
        ("request-wordlists", "nolist:block", "hi", "policy_override"),
        ("request-wordlists", "custom:off", "hi", "policy_override"),
        ("max-prompt-chars", "5", "more than five", "caps"),
        ("max-tokens", "99", "hi", "caps"),
        ("max-tokens", "many", "hi", "policy_override"),
        ("enforce-user-ids", "true", "hi", "user-id"),
        ("enforce-user-ids", "perhaps", "hi", "policy_override"),
        ("auto-moderate", "true", "so wrathful", "before"),
    ],
)
def test_aliases_refuse(guarded: Case, name: str, value: str, text: str, code: str) -> None:
    refused(guarded.post(text, max_tokens=100, headers={f"x-usagepanda-{name}": value}), code)
    guarded.nothing_sent()


def test_aliases_pass_what_is_within(guarded: Case) -> None:
    headers = {
        "x-usagepanda-request-wordlists": "custom:redact", "x-usagepanda-max-tokens": "100",
        "x-usagepanda-max-prompt-chars": "50", "x-usagepanda-enforce-user-ids": "true",
        "x-usagepanda-auto-moderate": "true", "x-usagepanda-unknown": "x",
    }  # fmt: skip
    assert guarded.post("a grue", user="someone", max_tokens=100, headers=headers).status_code == 200
    assert guarded.one().json() == guarded.body("a [custom]", user="someone", max_tokens=100)


def test_aliases_of_the_request_leave_the_answer(guarded: Case) -> None:
    guarded.on(respond(200, completion("a grue")))
    assert b"a grue" in guarded.post("a grue", headers={"x-usagepanda-request-wordlists": "custom:redact"}).content


def test_aliases_of_the_answer_leave_the_request(guarded: Case) -> None:
    guarded.on(chunked(200, events("This is a gr", "ue, ", "they say.")))
    answer = guarded.post("a grue", stream=True, headers={"x-usagepanda-response-wordlists": "custom:redact"})
    assert b"[custom]" in answer.content
    assert b"ue, " not in answer.content.replace(b"[custom], ", b"")
    assert guarded.one().json() == guarded.body("a grue", stream=True)


# who is told


@pytest.mark.parametrize(
    ("text", "model", "verdict"),
    [
        ("Hello", "gpt-4o", "allow"),
        (f"I am {SECRET}", "gpt-4o", "redact"),
        ("xyzzy", "gpt-style-error", "block"),
        (IMAGE, "gpt-4o", "allow, not-scannable"),
        ("ping", "gpt-autoreply", "reply"),
    ],
)
def test_response_headers_say_what_the_request_came_to(guarded: Case, text: Any, model: str, verdict: str) -> None:
    answer = guarded.post(text, model=model)
    assert answer.headers["x-llm-verdict"] == verdict
    name = model.removeprefix("gpt-")
    assert answer.headers["x-llm-policies"] == ("emails" if model == "gpt-4o" else f"emails,{name}")


def test_watching_policies_are_named_so(guarded: Case) -> None:
    assert guarded.post(model="gpt-watch").headers["x-llm-policies"] == "emails,watch;audit"


def test_envoy_knows_of_a_blocked_request(guarded: Case) -> None:
    guarded.post("xyzzy", model="gpt-style-error")
    line = guarded.gateway.access(guarded.id)
    assert line["verdicts"] == {
        "request": "block", "outcome": "block", "policies": {"style-error:block": 1}, "blocked_by": "style-error",
    }  # fmt: skip
    assert line["usage"] is None


def test_envoy_knows_of_a_redacted_request_and_of_tokens(guarded: Case) -> None:
    guarded.on(respond(200, completion()))
    guarded.post(f"I am {SECRET}")
    line = guarded.gateway.access(guarded.id)
    assert line["verdicts"] == {"request": "redact", "outcome": "redact", "policies": {"emails:redact": 1}}
    tokens = {"input": 11, "output": 7, "cached": 3, "reasoning": 0, "cache_write": 0, "total": 18}
    assert line["usage"] == {**tokens, "model": "gpt-4o", "backend": "alpha"}
    assert SECRET not in json.dumps(line)


def test_envoy_knows_of_an_image(guarded: Case) -> None:
    guarded.post(IMAGE)
    verdicts = guarded.gateway.access(guarded.id)["verdicts"]
    assert verdicts == {"request": "allow", "outcome": "allow", "unscanned": "image"}


def test_envoy_knows_of_a_stream_and_its_tokens(guarded: Case) -> None:
    guarded.on(chunked(200, events("Hel", "lo, ")))
    guarded.post(stream=True)
    line = guarded.gateway.access(guarded.id)
    assert line["verdicts"] == {"request": "allow", "outcome": "allow"}
    assert (line["usage"]["input"], line["usage"]["output"]) == (USAGE["prompt_tokens"], USAGE["completion_tokens"])


def test_envoy_knows_of_a_blocked_stream(guarded: Case) -> None:
    guarded.on(
        chunked(200, [OPENING, event({"content": "All is well, "}), event({"content": "xyzzy"}), event({}, "stop")])
    )
    guarded.post(model="gpt-style-error", stream=True)
    verdicts = guarded.gateway.access(guarded.id)["verdicts"]
    assert verdicts == {
        "request": "allow", "outcome": "block", "policies": {"style-error:block": 1}, "blocked_by": "style-error",
    }  # fmt: skip
