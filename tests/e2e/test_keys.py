"""Models and keys: which name a provider is asked for, and whose key goes where."""

from __future__ import annotations

import json

import pytest

from tests.e2e.harness import CLIENT_KEY, KEYS, Case, read_answer
from tests.e2e.upstream import Upstream, completion, error

A, B = f"Bearer {KEYS['KEY_A']}", f"Bearer {KEYS['KEY_B']}"


@pytest.mark.parametrize(
    ("asked", "sent"), [("gpt-4o", "gpt-4o"), ("gpt-", "gpt-"), ("named", "real-name"), ("alpha/llama-3", "llama-3")]
)
def test_model_names(plain_case: Case, asked: str, sent: str) -> None:
    assert plain_case.post(model=asked).status_code == 200
    assert plain_case.one().json() == plain_case.body(model=sent)


def test_the_clients_key_stays_here(case: Case) -> None:
    keys = {
        "api-key": CLIENT_KEY,
        "x-api-key": CLIENT_KEY,
        "x-goog-api-key": CLIENT_KEY,
        "proxy-authorization": f"Bearer {CLIENT_KEY}",
    }
    assert case.post(headers=keys, params={"key": CLIENT_KEY}).status_code == 200
    received = case.one()
    assert received.header("authorization") == A
    assert CLIENT_KEY not in repr(received)


def test_the_clients_key_goes_through_where_configured(case: Case) -> None:
    assert case.post(model="mine", headers={"x-api-key": "other-key"}).status_code == 200
    received = case.one()
    assert received.header("authorization") == f"Bearer {CLIENT_KEY}"
    assert received.header("x-api-key") is None
    assert KEYS["KEY_A"] not in repr(received)


def test_a_clients_own_key_that_is_refused(case: Case) -> None:
    """It is the client's key: the provider's text is for the client."""
    case.on(error(401, "your key is wrong"))
    answer = case.post(model="mine")
    assert (answer.status_code, answer.json()["error"]["message"]) == (401, "your key is wrong")


def test_keys_in_turn(plain_case: Case) -> None:
    for _ in range(4):
        plain_case.post(model="turns")
    found = [each.header("authorization") for each in plain_case.received()]
    assert sorted(found) == sorted([A, f"Bearer {KEYS['KEY_C']}"] * 2)
    assert found[0] != found[1]


def test_no_key(case: Case) -> None:
    assert case.post(model="nokey").status_code == 200
    assert case.one().header("authorization") is None


@pytest.mark.parametrize("model", ["gpt-4o", "mine"])
def test_two_authorization_headers(case: Case, model: str) -> None:
    body = json.dumps(case.body(model=model)).encode()
    answer = case.raw(case.head("content-type: application/json", f"content-length: {len(body)}",
                                "authorization: Bearer one", "Authorization: Bearer two") + body)  # fmt: skip
    assert (answer.status, answer.json()["error"]["code"]) == (400, "bad_credentials")
    case.nothing_sent()


def test_keepalive_connections_keep_keys_apart(plain_case: Case) -> None:
    """One connection to a provider, used for two kinds of credentials in turn."""
    for model in ("gpt-4o", "mine", "nokey", "gpt-4o", "mine"):
        plain_case.post(model=model)
    found = [each.header("authorization") for each in plain_case.received()]
    assert found == [A, f"Bearer {CLIENT_KEY}", None, A, f"Bearer {CLIENT_KEY}"]


def test_client_answers_in_turn(plain_case: Case, upstreams: dict[str, Upstream]) -> None:
    client = plain_case.client()
    sent = plain_case.body()
    answers = [client.post("/v1/chat/completions", json=sent) for _ in range(5)]
    assert [each.status_code for each in answers] == [200] * 5
    assert {each.read() for each in answers} == {completion()}
    client.post(
        "/v1/chat/completions", content=iter([json.dumps(sent).encode()]), headers={"content-type": "application/json"}
    )
    assert plain_case.received()[-1].json() == sent
    with plain_case.connect() as sock:
        body = json.dumps(sent).encode()
        for _ in range(3):
            sock.sendall(plain_case.head("content-type: application/json", f"content-length: {len(body)}") + body)
            assert read_answer(sock).content == completion()
