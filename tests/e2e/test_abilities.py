"""Model groups of which not every backend can serve every request: it goes to those that can, also when one of them fails."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.foreign import PROVIDERS
from tests.e2e.mixture import Mixed, backend
from tests.e2e.tongues import TONGUES
from tests.e2e.upstream import respond

_numbers = itertools.count()
STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])

CUSTOM = {"tools": [{"type": "custom", "custom": {"name": "shell", "description": "Takes a line of text."}}]}
"""A tool that takes text: OpenAI's alone."""
SEARCH = {"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 1}]}
"""A tool that Anthropic's own machines run."""
KEPT = {"previous_response_id": "resp_1"}
"""A conversation that the provider has kept."""
CACHED = {"cachedContent": "cachedContents/1"}
GUARDED = {"guardrailConfig": {"guardrailIdentifier": "g1", "guardrailVersion": "1"}}
SOUND = {
    "messages": [
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}]}
    ]
}


@pytest.fixture
def fresh() -> Callable[[str], str]:
    """A model group of this sort that no other test has used."""
    number = next(_numbers) % 16
    return lambda sort: f"{sort}-{number}"


@STREAMS
@pytest.mark.parametrize(
    ("sort", "tongue", "more", "serves"),
    [
        ("able-last", "chat", CUSTOM, "openai"),
        ("able-late", "chat", CUSTOM, "openai"),
        ("able-sound", "chat", SOUND, "openai"),
        ("able-first", "anthropic", SEARCH, "anthropic"),
        ("able-last", "responses", KEPT, "openai"),
        ("able-late", "gemini", CACHED, "gemini"),
        ("able-late", "bedrock", GUARDED, "bedrock"),
    ],
)
def test_it_goes_to_the_first_that_can(
    mixed: Mixed, fresh: Callable[[str], str], sort: str, tongue: str, more: dict[str, Any], serves: str, stream: bool
) -> None:
    answer = mixed.ask(fresh(sort), tongue, stream=stream, more=more)
    assert answer.status_code == 200, answer.text
    assert mixed.asked_of() == {serves: 1}
    assert (answer.headers["x-llm-backend"], answer.headers["x-llm-attempts"]) == (backend(serves), "1")


@STREAMS
@pytest.mark.parametrize(
    ("sort", "more", "first", "second"),
    [
        ("able-ends", CUSTOM, "openai", "azure"),
        ("able-late", CUSTOM, "openai", "azure"),
        ("able-sound", SOUND, "openai", "gemini"),
    ],
)
@pytest.mark.parametrize("status", [429, 500])
def test_a_retry_goes_to_the_next_that_can(
    mixed: Mixed, fresh: Callable[[str], str], sort: str, more: dict[str, Any], first: str, second: str, status: int,
    stream: bool,
) -> None:  # fmt: skip
    mixed.on(PROVIDERS[first].shape.fails(status), at=first)
    answer = mixed.ask(fresh(sort), stream=stream, more=more)
    assert answer.status_code == 200, answer.text
    assert mixed.asked_of() == {first: 1, second: 1}
    assert answer.headers["x-llm-backend"] == backend(second)


@STREAMS
@pytest.mark.parametrize("sort", ["able-first", "able-last"])
@pytest.mark.parametrize("status", [429, 500])
def test_where_only_one_can_its_error_is_told(
    mixed: Mixed, fresh: Callable[[str], str], sort: str, status: int, stream: bool
) -> None:
    mixed.on(PROVIDERS["openai"].shape.fails(status, "its own words", [("retry-after", "9")]), at="openai")
    answer = mixed.ask(fresh(sort), stream=stream, more=CUSTOM)
    assert set(mixed.asked_of()) == {"openai"}
    assert (answer.status_code, answer.headers.get("retry-after")) == (status, "9")
    assert answer.json()["error"]["message"] == "its own words"


PICTURE = {
    "messages": [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]}
    ]
}
SEEN = {"messages": [{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}}]}]}


@STREAMS
@pytest.mark.parametrize("sort", ["blind", "told-blind"])
@pytest.mark.parametrize(("tongue", "more"), [("chat", PICTURE), ("bedrock", SEEN)])
def test_pictures_go_to_models_that_see(
    mixed: Mixed, fresh: Callable[[str], str], sort: str, tongue: str, more: dict[str, Any], stream: bool
) -> None:
    answer = mixed.ask(fresh(sort), tongue, stream=stream, more=more)
    assert answer.status_code == 200, answer.text
    assert mixed.asked_of() == {"bedrock": 1}


def test_words_go_to_the_first_model(mixed: Mixed, fresh: Callable[[str], str]) -> None:
    assert mixed.ask(fresh("told-blind")).headers["x-llm-backend"] == backend("openai")
    assert mixed.asked_of() == {"openai": 1}


@STREAMS
def test_where_no_model_sees_it_is_told_before_anything_is_sent(
    mixed: Mixed, fresh: Callable[[str], str], stream: bool
) -> None:
    answer = mixed.ask(fresh("blind-only"), stream=stream, more=PICTURE)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "unable")
    assert "needs: image." in answer.json()["error"]["message"]
    mixed.nothing_sent()


def test_weights_share_among_those_that_can(mixed: Mixed) -> None:
    used = {mixed.ask("weighted", more=CUSTOM).headers["x-llm-backend"] for _ in range(40)}
    assert used == {backend("openai"), backend("azure")}


def test_of_those_with_weights_one_that_can_stands_in_for_another(mixed: Mixed) -> None:
    mixed.on(PROVIDERS["openai"].shape.fails(429), at="openai")
    for _ in range(8):
        answer = mixed.ask("weighted", more=CUSTOM)
        assert (answer.status_code, answer.headers["x-llm-backend"]) == (200, backend("azure"))
    assert set(mixed.asked_of()) <= {"openai", "azure"}


def embeddings(case: Mixed, model: str) -> Any:
    return case.client().post("/v1/embeddings", json={"model": model, "input": "Hello"})


VECTOR = (
    b'{"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}], '
    b'"model": "text-embedding-3-small", "usage": {"prompt_tokens": 2, "total_tokens": 2}}'
)


@pytest.mark.parametrize("sort", ["able-last", "able-first", "able-late"])
def test_an_operation_that_one_has(mixed: Mixed, fresh: Callable[[str], str], sort: str) -> None:
    mixed.on(respond(200, VECTOR), at="openai")
    answer = embeddings(mixed, fresh(sort))
    assert (answer.status_code, answer.content) == (200, VECTOR)
    assert mixed.asked_of() == {"openai": 1}
    assert mixed.one("openai").target == "/v1/embeddings"


def test_an_operation_that_two_have(mixed: Mixed, fresh: Callable[[str], str]) -> None:
    mixed.on(PROVIDERS["openai"].shape.fails(500), at="openai")
    mixed.on(respond(200, VECTOR), at="azure")
    answer = embeddings(mixed, fresh("able-late"))
    assert (answer.status_code, answer.content) == (200, VECTOR)
    assert mixed.asked_of() == {"openai": 1, "azure": 1}


@STREAMS
@pytest.mark.parametrize(
    ("model", "tongue", "more", "why"),
    [
        ("unable-0", "chat", CUSTOM, "tools[0]: a tool that takes text"),
        ("only-anthropic", "chat", SOUND, "messages[0].content[0]"),
        ("unable-0", "responses", KEPT, "previous_response_id"),
        ("others-0", "anthropic", SEARCH, "tools[0]: "),
        ("unable-0", "gemini", CACHED, "cachedContent"),
        ("others-0", "bedrock", GUARDED, "guardrailConfig"),
    ],
)
def test_none_can(mixed: Mixed, model: str, tongue: str, more: dict[str, Any], why: str, stream: bool) -> None:
    answer = mixed.ask(model, tongue, stream=stream, more=more)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/json")
    message = TONGUES[tongue].error(answer.json())
    assert message.startswith("The provider of this model cannot take this request: ")
    assert why in message
    mixed.nothing_sent()
    assert mixed.log()["end"] == "refused"


def test_an_operation_that_none_has(mixed: Mixed) -> None:
    answer = embeddings(mixed, "unable-0")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unsupported_operation"
    mixed.nothing_sent()
