"""What clients and the log are told of a conversion: what was lost, who answered, and the provider's limits."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.foreign import PROVIDERS, SHAPES
from tests.e2e.mixture import Mixed, backend, understood
from tests.e2e.tongues import TONGUES
from tests.e2e.upstream import respond

STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
LOST: dict[str, Any] = {"seed": 7, "presence_penalty": 0.5}


@STREAMS
@pytest.mark.parametrize("model", ["only-anthropic", "lost"])
def test_losses_of_a_request(mixed: Mixed, model: str, stream: bool) -> None:
    """The same whether the only backend's body is made by the router filter, or by the filter of the attempt."""
    mixed.on(PROVIDERS["openai"].shape.fails(500), at="openai")
    answer = mixed.ask(model, stream=stream, more=LOST)
    assert understood(answer, TONGUES["chat"], stream=stream).text == "Hello from anthropic."
    assert answer.headers["x-llm-losses"] == "2"
    losses = mixed.log()["losses"]
    assert sorted(each.partition(": ")[0] for each in losses) == ["presence_penalty", "seed"]
    assert all(each.partition(": ")[2] for each in losses)


@STREAMS
def test_losses_of_an_attempt_that_failed_are_not_told(mixed: Mixed, stream: bool) -> None:
    mixed.on(PROVIDERS["anthropic"].shape.fails(500), at="anthropic")
    answer = mixed.ask("gpt-4o", stream=stream, more=LOST)
    assert answer.headers["x-llm-backend"] == "openai"
    assert "x-llm-losses" not in answer.headers
    assert mixed.one("openai").json()["seed"] == 7
    assert not mixed.log().get("losses")


def test_no_losses_are_told_where_there_are_none(mixed: Mixed) -> None:
    answer = mixed.ask("only-anthropic")
    assert "x-llm-losses" not in answer.headers
    assert not mixed.log().get("losses")


@pytest.mark.parametrize(("tongue", "kind"), [("chat", "anthropic"), ("anthropic", "openai"), ("gemini", "bedrock")])
def test_who_answered(mixed: Mixed, tongue: str, kind: str) -> None:
    answer = mixed.ask(f"only-{kind}", tongue)
    assert (answer.headers["x-llm-backend"], answer.headers["x-llm-attempts"]) == (backend(kind), "1")
    line = mixed.log()
    assert (line["format"], line["backend"]) == (TONGUES[tongue].format, backend(kind))
    assert line["upstream_format"] == TONGUES[PROVIDERS[kind].shape.name].format
    assert line["group"] == f"only-{kind}"


LIMITS = {
    "anthropic": [("anthropic-ratelimit-requests-limit", "50"), ("anthropic-ratelimit-tokens-remaining", "900")],
    "openai": [("x-ratelimit-limit-requests", "50"), ("x-ratelimit-remaining-tokens", "900")],
}


@pytest.mark.parametrize("status", [200, 429])
@pytest.mark.parametrize(
    ("tongue", "kind"),
    [("chat", "anthropic"), ("responses", "anthropic"), ("anthropic", "openai"), ("chat", "openai"),
     ("anthropic", "anthropic")],
)  # fmt: skip
def test_limits_under_the_clients_names(mixed: Mixed, tongue: str, kind: str, status: int) -> None:
    shape = SHAPES["responses"] if (tongue, kind) == ("responses", "openai") else PROVIDERS[kind].shape
    body = shape.whole("Hello.") if status == 200 else shape.error(status, "slow down")
    mixed.on(respond(status, body, [("content-type", "application/json"), *LIMITS[kind]]), at=kind)
    answer = mixed.ask(f"only-{kind}", tongue)
    assert answer.status_code == status
    for name, value in LIMITS["anthropic" if tongue == "anthropic" else "openai"]:
        assert answer.headers[name] == value
